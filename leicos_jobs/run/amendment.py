"""What an amendment costs, before it is made: which results become stale, and what it took to make them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.stages import GENERATE, WHOLE
from leicos_jobs.formats.sources import open_source, task_of
from leicos_jobs.run import episodes, identity, inputs
from leicos_jobs.run.commits import Commits
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run, read_run_file
from leicos_jobs.run.plan import make_samples
from leicos_jobs.run.results import Results, read_states
from leicos_jobs.store import open_store


@dataclass(frozen=True)
class Amendment:
    """What becomes stale. stages: whole stages that are done again. generated: videos there are. stale: of those, None
    where it cannot be known before the recordings are converted. gpu_hours, dollars: what those took."""

    stages: tuple[str, ...]
    generated: int
    stale: int | None
    gpu_hours: float
    dollars: float

    def text(self) -> str:
        """For people."""
        again = f"done again: {', '.join(self.stages)}" if self.stages else "no stage is done again"
        if not self.generated:
            return f"amended; {again}"
        if self.stale is None:
            return f"amended; {again}; how many of the {self.generated} videos become stale is known after convert"
        cost = f" ({self.gpu_hours:.2f} GPU-hours, {self.dollars:.2f} dollars)" if self.stale else ""
        return f"amended; {self.stale} of {self.generated} videos become stale{cost}; {again}"


def foresee(uri: str, config: RunConfig, found: Mapping[str, str]) -> Amendment | None:
    """What giving a run this configuration makes stale; None if nothing differs or there is no run yet.

    found: fingerprints of the inputs that it names. Raises InputError, DamageError.
    """
    store = open_store(uri)
    former = read_run_file(store)
    if former is None:
        return None
    if former.config == config and former.inputs == found:
        return None
    old = Results(Run(store, former.config, former.inputs, Commits(store)))
    new = Results(Run(store, config, found, Commits(store)))
    if old.current("plan") is None:
        return Amendment(_again(old, new), 0, 0, 0.0, 0.0)
    states = read_states(old.run, old.samples(), GENERATE.name)
    seconds = {state.sample.id: float(state.generate.facts.get("seconds", 0)) for state in states if state.generate}
    kept = _kept(old, new)
    if kept is None:
        return Amendment(_again(old, new), len(seconds), None, 0.0, 0.0)
    stale = [took for sample, took in seconds.items() if sample not in kept]
    hours = len(stale) * statistics.median(stale) / 3600 if stale else 0.0
    price = config.cost.dollars_per_hour.get(GENERATE.pool, 0.0)
    return Amendment(_again(old, new), len(seconds), len(stale), hours, hours * price)


def _again(old: Results, new: Results) -> tuple[str, ...]:
    """Stages up to the plan that are done and will not count any more."""
    upto = WHOLE[: WHOLE.index("plan") + 1]
    return tuple(stage for stage in upto if old.current(stage) is not None and new.current(stage) is None)


def _kept(old: Results, new: Results) -> set[str] | None:
    """Ids of the samples that the new configuration plans; None if that is not known yet."""
    config, checkpoint = new.config, new.artifact("post-train")
    if identity.is_trained(config) and checkpoint is None:
        return set()  # another checkpoint makes other videos
    if new.current("convert") is not None:
        items = episodes.read(new.run, new)
    else:
        settings = [
            (each.config.time, each.config.source.model_copy(update={"files": ("",), "task": "-", "tasks": ()}))
            for each in (old, new)
        ]
        if settings[0] != settings[1]:
            return None
        foreseen = _foreseen(old, new)
        if foreseen is None:
            return None
        items = foreseen
    return {sample.id for sample in make_samples(items, config, checkpoint)}


def _foreseen(old: Results, new: Results) -> list[Episode] | None:
    """The episodes that recordings of this machine will give: those that are known by their tables, and others."""
    known = {item.tables_sha256: item for item in episodes.read(old.run, old)}
    example, items, source = next(iter(known.values())), list[Episode](), new.config.source
    for name in source.files:
        place = inputs.locate(name, new.run.store)
        if not isinstance(place, Path):
            return None
        try:
            with open_source(place, new.run.robot) as recording:
                demos = [demo for demo in recording.demos((source.camera,)) if demo.success]
                for demo in (demo for demo in demos if demo.problem is None):
                    tables = demo.tables_sha256()
                    text = task_of(source.task, source.tasks, source.files.index(name), demo.task)
                    changes = {"episode_index": len(items), "file": name, "demo": demo.name, "task": text or ""}
                    if tables not in known:
                        changes |= {"demo_sha256": digest_of(tables), "tables_sha256": tables}
                        changes |= {"frames": (demo.rows - example.first_row) // example.stride}
                    items.append(known.get(tables, example).model_copy(update=changes))
        except InputError:
            return None  # convert will say what is wrong
    return items
