"""Objects that no record counts."""

from __future__ import annotations

from collections.abc import Iterator

from leicos_jobs.core import stages
from leicos_jobs.run import calibration, identity, layout, refusals, starts
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results


def orphans(run: Run) -> Iterator[str]:
    """Keys of results that the present configuration does not demand: of whole stages, samples, starts and truths, and
    the gate's own."""
    results = Results(run)
    counted: set[str] = set()
    for stage in stages.WHOLE:
        if (whole := results.current(stage)) is not None:
            counted.add(layout.stage_record(stage, whole.key))
            counted |= {whole.path(name) for name in whole.files}
    if results.result("convert") is not None:
        counted.add(layout.calibration(calibration.key_of(results)))
    counted |= {layout.stop(refusals.key_of(results), suffix) for suffix in (".json", ".png")}
    prompts = {state.sample.prompt for state in results.all_states}
    counted |= {layout.shared(name) for name in identity.shared_files(run.config, prompts)}
    for state in results.all_states:
        for stage, record in state.records.items():
            counted.add(layout.sample_record(stage, state.sample.id, record.key))
            counted |= {record.object} if record.object else set()
        if state.generate is not None and "truth" in state.generate.facts:
            digest = str(state.generate.facts["truth"])
            counted.add(layout.truth(state.sample.id, str(state.generate.sha256), digest))
        if (start := starts.find(run, state.sample.start)) is not None:
            counted |= {layout.start(start.identity), layout.clip(start.identity, start.clip_sha256)}
    own = ("records", "starts", "truth", "calibrations", "stops", layout.shared())
    for prefix in (*own, *(stages.STAGES[name].prefix for name in stages.COMMITTING)):
        yield from (key for key in run.store.list(f"{prefix}/") if key not in counted)
