"""All that enters ids and keys: what determines a sample, and what determines the result of a stage.

A name is never an input: a recording, a checkpoint and an imported video enter by what they hold. What changes anything
here changes the user's ids and keys, is pinned in tests/run/test_pinned_identity.py and stands in CHANGELOG.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from leicos_jobs.backends import registry
from leicos_jobs.backends.base import Kind
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.stages import SAMPLE, STAGES
from leicos_jobs.formats.cosmos import prompt_for
from leicos_jobs.robots.embodiment import Embodiment, is_file
from leicos_jobs.run.commits import Record, make_key
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.config_former import FORMER
from leicos_jobs.run.controls import other_demo
from leicos_jobs.run.samples import Sample
from leicos_jobs.run.upstream import Upstream

Inputs = dict[str, str]
"""Digest of everything that goes into a result, by name."""


def backend_identity(stage: Kind, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Name, version, upstream commit and the settings that the backend says determine a result: by default those that
    differ from their defaults, so that a new setting does not disown old work; a changed default must raise `version`.
    """
    backend = registry.load(stage, name)
    return {
        "name": name,
        "version": backend.version,
        "upstream": backend.upstream,
        "settings": backend.identity(registry.settings(stage, name, settings)),
    }


def generator_identity(config: RunConfig) -> dict[str, Any]:
    """Identity of the generator. How one was trained is in its checkpoint's digest, not here."""
    return backend_identity("generate", config.generate.backend, config.generate.settings)


def generate_identity(config: RunConfig, checkpoint: str | None) -> dict[str, Any]:
    """All generation settings that determine a video. checkpoint: digest of the trained generator."""
    geometry = {"width": config.generate.width, "height": config.generate.height}
    return generator_identity(config) | geometry | {"checkpoint": checkpoint}


def generator_folders(config: RunConfig) -> tuple[str, ...]:
    """Folders outside the run that the generator takes its videos from."""
    backend = registry.load("generate", config.generate.backend)
    return backend.folders(registry.settings("generate", config.generate.backend, config.generate.settings))


def shared_files(config: RunConfig, prompts: Iterable[str]) -> set[str]:
    """Names of the files that the generator shares among workers for videos of these prompts."""
    backend = registry.load("generate", config.generate.backend)
    settings = registry.settings("generate", config.generate.backend, config.generate.settings)
    return {name for prompt in prompts for name in backend.shared_files(settings, prompt)}


def is_trained(config: RunConfig) -> bool:
    """Whether the generator must be trained or its checkpoint fetched."""
    name, settings = config.generate.backend, config.generate.settings
    if config.generate.checkpoint and name in registry.installed("post_train"):
        return True
    return registry.load("generate", name).is_trained(registry.settings("generate", name, settings))


@dataclass(frozen=True)
class SampleRules:
    """Keys of the per-sample stages. settings: of each stage, as far as they determine its result. idm: digest of the
    IDM's artifact; None while there is none, and then nothing is labelled. source: digest of the real dataset, whose
    videos the gate's limits are relative to; None where nothing is judged. no_replay: why samples cannot be replayed
    whose start has the simulator's state (True), or has it not; None where they can."""

    settings: Mapping[str, Any]
    idm: str | None
    source: str | None = None
    no_replay: Mapping[bool, str | None] = field(default_factory=lambda: {True: None, False: None})
    demos: Sequence[str] = ()
    """See `controls.other_demo`; for the controls alone."""

    def key(self, stage: str, sample: Sample, records: Mapping[str, Record]) -> str | None:
        """Key under which a stage's work on a sample counts now; None while its inputs are not there, or where the gate
        refused the video. records: of the stages before."""
        gate = records.get("gate")
        if STAGES[stage].after_gate and (gate is None or not gate.facts["passed"]):
            return None
        rule = _SAMPLE_INPUTS.get(stage, _records_needed(stage))
        inputs = rule(self, sample, records)
        return None if inputs is None else make_key(stage, STAGES[stage].version, self.settings[stage], inputs)


def sample_rules(
    config: RunConfig, idm: str | None, outside: Callable[[str], str] = str, robot: Embodiment | None = None,
    source: str | None = None, demos: Sequence[str] = (),
) -> SampleRules:  # fmt: skip
    """The rules of a configuration. idm, source, demos: see `SampleRules`. outside: fingerprint of a file it names.
    robot: None where it does not matter what cannot be replayed."""
    replay = _replay_identity(config, outside)
    own = {
        "generate": {},
        "gate": _gate_identity(config),
        "label": backend_identity("label", config.idm.backend, config.label.settings) | {"seed": config.idm.seed},
        "replay": replay,
        "controls": replay,
    }
    settings = {name: own.get(name, _settings_named(config, name)) for name in SAMPLE}
    rules = SampleRules(settings, idm, source, demos=demos)
    return replace(rules, no_replay=no_replay(config, robot)) if robot else rules


def no_replay(config: RunConfig, robot: Embodiment) -> dict[bool, str | None]:
    """Why demos of this robot cannot be replayed, with (True) and without the simulator's states; None: they can."""
    backend = registry.load("replay", config.replay.backend)
    settings = registry.settings("replay", config.replay.backend, config.replay.settings)
    return {states: backend.cannot(settings, robot, states) for states in (True, False)}


def _replay_identity(config: RunConfig, outside: Callable[[str], str]) -> dict[str, Any]:
    backend = backend_identity("replay", config.replay.backend, config.replay.settings)
    return backend | {"hold": config.replay.hold, "repeats": config.replay.repeats} | _own_robot(config, outside)


def _robot(config: RunConfig, outside: Callable[[str], str]) -> str:
    """A shipped robot by its name, another by what its file holds."""
    name = config.source.robot
    return outside(name) if is_file(name) else name


def _own_robot(config: RunConfig, outside: Callable[[str], str]) -> dict[str, str]:
    """For stages whose results a robot's file changes beyond the dataset: its geometry, which joints are grippers."""
    return {"robot": _robot(config, outside)} if is_file(config.source.robot) else {}


def _gate_identity(config: RunConfig) -> dict[str, Any]:
    gate = config.gate.model_dump(mode="json", exclude={"critic", "refused_share_max", "refused_videos_min"})
    if (critic := config.gate.critic) is None:
        return gate
    judged_by = backend_identity("critic", critic.backend, critic.settings) | {"min_scores": critic.min_scores}
    return gate | {"critic": judged_by, "task": config.source.task}  # it is asked about the task


SampleRule = Callable[[SampleRules, Sample, Mapping[str, Record]], Inputs | None]


def _of_generate(rules: SampleRules, sample: Sample, records: Mapping[str, Record]) -> Inputs | None:
    return {"sample": sample.id}


def _of_gate(rules: SampleRules, sample: Sample, records: Mapping[str, Record]) -> Inputs | None:
    if rules.source is None or "generate" not in records:
        return None
    return {"video": str(records["generate"].sha256), "start": sample.start, "source": rules.source}


def _of_label(rules: SampleRules, sample: Sample, records: Mapping[str, Record]) -> Inputs | None:
    if rules.idm is None or "generate" not in records:
        return None
    return {"video": str(records["generate"].sha256), "idm": rules.idm}


def _of_replay(rules: SampleRules, sample: Sample, records: Mapping[str, Record]) -> Inputs | None:
    if "label" not in records or rules.no_replay[sample.states]:
        return None
    return {"labels": str(records["label"].sha256), "start": sample.start}


def _of_controls(rules: SampleRules, sample: Sample, records: Mapping[str, Record]) -> Inputs | None:
    inputs = _of_replay(rules, sample, records)
    if inputs is None:
        return None
    more = {"truth": records["generate"].facts.get("truth"), "other": other_demo(sample, rules.demos)}
    return inputs | {name: str(digest) for name, digest in more.items() if digest is not None}


_SAMPLE_INPUTS: dict[str, SampleRule] = {
    "generate": _of_generate, "gate": _of_gate, "label": _of_label, "replay": _of_replay, "controls": _of_controls,
}  # fmt: skip


def _records_needed(stage: str) -> SampleRule:
    """The rule of a stage that has none of its own: the records that its entry in the table needs."""

    def rule(rules: SampleRules, sample: Sample, records: Mapping[str, Record]) -> Inputs | None:
        needs = STAGES[stage].needs
        return {name: records[name].digest() for name in needs} if all(name in records for name in needs) else None

    return rule


# --- whole stages ----------------------------------------------------------------------------------------------------


def whole_key(upstream: Upstream, stage: str) -> str | None:
    """Key under which a whole stage's result counts now; None while its inputs are not there."""
    inputs: Inputs = {}
    for name in STAGES[stage].needs:
        if (digest := upstream.result(name)) is None:
            return None
        inputs[name] = digest
    rule = _WHOLE.get(stage)  # asked last: it may read what the stages before made, e.g. the plan
    settings = rule(upstream) if rule else _settings_named(upstream.config, stage)
    return None if settings is None else make_key(stage, STAGES[stage].version, settings, inputs)


def _settings_named(config: RunConfig, stage: str) -> dict[str, Any]:
    """The parts of the configuration that the table of stages names."""
    values: dict[str, Any] = {}
    for path in STAGES[stage].settings:
        value: Any = config.model_dump(mode="json")
        for part in path.split("."):
            value = value[part]
        values[path] = value
    return values


PULLING = {"workers", "samples_per_worker"}
"""How many pods pull samples: no result depends on it."""
LATER = {
    "source": {"tasks", "cameras"},
    "plan": {"prompts", *PULLING},
    "replay": PULLING,
    "rounds": {"worker_seconds"},
    "curate": {"accept_unproven", "jitter_max", "start_error_ratio_max"},
}
"""Fields that came after 0.1, by section: where they are unset, keys are what they were without them."""


def _as_before(section: str, values: BaseModel, without: Set[str] = frozenset()) -> dict[str, Any]:
    """A section without those of its later fields that are unset, and without some others."""
    unset = LATER[section] - values.model_dump(mode="json", exclude_defaults=True).keys()
    return values.model_dump(mode="json", exclude=unset | without)


WholeRule = Callable[[Upstream], dict[str, Any] | None]
"""What determines a stage's result besides the results of the stages that it needs; None while that is not known."""


def _convert(up: Upstream) -> dict[str, Any]:
    source = up.config.source.model_copy(update={"robot": _robot(up.config, up.outside)})
    return {
        "sources": [up.outside(name) for name in source.files],
        "source": source.model_dump(mode="json", exclude={"files", "strict"}, exclude_defaults=True),
        "time": up.config.time.model_dump(mode="json"),
        "video": up.config.video.model_dump(mode="json"),
    }


def prompt_of(config: RunConfig, task: str) -> str:
    """The prompt of a task's text."""
    return prompt_for(task, use_prompt=config.prompt.use_prompt, form=config.prompt.form)


def _cosmos_dataset(up: Upstream) -> dict[str, Any]:
    """Where each demo has a text of its own, it is part of what convert made."""
    task = None if up.config.source.tasks else up.config.source.task
    return {"prompt": prompt_of(up.config, task) if task else up.config.prompt.model_dump(mode="json")}


def _post_train(up: Upstream) -> dict[str, Any] | None:
    """What determines the checkpoint; generation settings such as guidance do not."""
    config = up.config.generate
    if not is_trained(up.config):
        return None
    trainer = registry.load("post_train", config.backend)
    split = {"split": up.config.split.model_dump(mode="json")} if trainer.holds_out else {}
    return split | {
        "backend": trainer.identity(registry.settings("post_train", config.backend, config.settings)),
        "checkpoint": up.outside(config.checkpoint) if config.checkpoint else None,
        "geometry": [config.width, config.height],
    }


def _train_idm(up: Upstream) -> dict[str, Any]:
    config = up.config.idm
    return {
        "backend": backend_identity("train", config.backend, config.settings),
        "label": backend_identity("label", config.backend, up.config.label.settings),
        "seed": config.seed,
        "split": up.config.split.model_dump(mode="json"),
        "checkpoint": up.outside(config.checkpoint) if config.checkpoint else None,
        "geometry": [up.config.generate.width, up.config.generate.height],
    } | _own_robot(up.config, up.outside)


def _plan(up: Upstream) -> dict[str, Any] | None:
    config, checkpoint = up.config, up.artifact("post-train")
    if is_trained(config) and checkpoint is None:
        return None
    return {
        "plan": _as_before("plan", config.plan, PULLING),
        "split": config.split.model_dump(mode="json"),
        "prompt": config.prompt.model_dump(mode="json"),
        "task": config.source.task,
        "camera": config.source.camera,
        "frames": config.generate.frames,
        "generate": generate_identity(config, checkpoint),
        "outside": [up.outside(name) for name in generator_folders(config)],
    }


def _replay_demos(up: Upstream) -> dict[str, Any]:
    return {"replay": _replay_identity(up.config, up.outside), "at_most": up.config.replay.controls_at_most}


def _curate(up: Upstream) -> dict[str, Any]:
    """Where success is not required, the labels of held-out demos may decide."""
    limits = up.config.curate
    if limits.require_success:
        return {"curate": _as_before("curate", limits), "samples": up.standing()}
    idm = up.result("train-idm")
    return {"curate": limits.model_dump(mode="json"), "samples": up.standing(), "idm": idm}


def _assemble(up: Upstream) -> dict[str, Any]:
    source, split = up.config.source, up.config.split.model_dump(mode="json")
    return {"task": source.task, "robot": _robot(up.config, up.outside), "split": split, "samples": up.standing()}


def _report(up: Upstream) -> dict[str, Any]:
    """It shows the configuration, so any change makes another report."""
    config = up.config.model_dump(mode="json", exclude={"source": {"files"}, "webhook": True})
    config["source"]["robot"] = _robot(up.config, up.outside)
    for section in LATER:
        known = _as_before(section, getattr(up.config, section))
        kept = {name: value for name, value in config[section].items() if name in known}
        config[section] = kept | FORMER.get(section, {})
    samples = {"samples": up.standing(), "controls": up.controls()}
    return {"config": config, "demos": up.result("replay-demos")} | samples


_WHOLE: dict[str, WholeRule] = {
    "convert": _convert, "cosmos-dataset": _cosmos_dataset, "post-train": _post_train, "train-idm": _train_idm,
    "plan": _plan, "replay-demos": _replay_demos, "curate": _curate, "assemble": _assemble, "report": _report,
}  # fmt: skip


def start_identity(demo: str, row0: int, control_hz: float, stride: int, camera: str, clip: Mapping[str, int]) -> str:
    """Identity of a start: the demo's content, where in it, and how its clip is made (`clip`: frames, quality)."""
    origin = {"demo": demo, "row0": row0, "control_hz": control_hz, "stride": stride, "camera": camera}
    return digest_of(origin | dict(clip), 80)
