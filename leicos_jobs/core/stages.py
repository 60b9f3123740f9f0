"""The table of stages: what each one is, once. Command line, manifests, keys, layout, status and report derive from it.

To add a stage: an entry here, a module `leicos_jobs/stages/NAME.py`, its place in `hera_workflows` (CONTRIBUTING.md).
Its code is found by name: a stage `train-idm` is `train_idm()` in `leicos_jobs.stages.train_idm`, a per-sample stage
`gate` the class `GateStage` in `leicos_jobs.stages.gate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a stage commits."""

    WHOLE = "whole"
    """One record under one key, for all of its files together."""
    SAMPLE = "sample"
    """A record for each sample, through the worker."""
    STEP = "step"
    """Nothing: it decides, counts or tells."""


class Pool(StrEnum):
    """Where pods belong, by kind of work. `cpu` is for everything that needs no accelerator."""

    GENERATE = "generate"
    TRAIN = "train"
    LABEL = "label"
    REPLAY = "replay"
    CPU = "cpu"


class Image(StrEnum):
    """Kinds of job images, one folder each under images/."""

    JOBS = "jobs"
    COSMOS = "cosmos"
    IDM = "idm"
    ISAAC = "isaac"


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline, which is one `leicos` command and one template of a workflow."""

    name: str
    """Of the command and the template."""
    kind: Kind
    home: str
    """The WorkflowTemplate that defines its template."""
    summary: str
    """What it does, for `leicos --help`."""
    version: int = 1
    """Raised when it would give another result for the same inputs: then its old results no longer count."""
    pool: Pool = Pool.CPU
    image: Image = Image.JOBS
    hours: float = 1
    """Deadline of one attempt of its pod."""
    retries: int = 6
    """Attempts of a lost or interrupted pod after the first. The waits between six (hera_workflows.policies) are ten
    minutes in all, so an S3 server may be away for some."""
    inputs: tuple[str, ...] = ()
    """Parameters besides `run`, in the order of the command's arguments."""
    outputs: tuple[tuple[str, str], ...] = ()
    """Output parameters (files of that name under --outputs), each with the value that stands for a skipped task."""
    names_workflow: bool = False
    """Whether it receives the workflow's name."""
    needs: tuple[str, ...] = ()
    """Whole stages whose results go into its own."""
    settings: tuple[str, ...] = ()
    """Parts of the configuration that determine its result, where `run.identity` has no rule of its own for it."""
    prefix: str = ""
    """Where its files lie in a run."""
    in_round: bool = False
    """Done by workers in rounds, until nothing is missing."""
    follows: str = ""
    """The stage whose worker's samples it does; without it a worker pulls samples from a list."""
    after_gate: bool = False
    """Not done for a sample that the gate refused."""
    drawn: bool = False
    """Done only for samples that `run.controls` draws: it tells about the others, and decides nothing of any."""

    @property
    def module(self) -> str:
        """Its module's name in `leicos_jobs.stages`, and the name of a whole stage's function in it."""
        return self.name.replace("-", "_")


PREPARE, TRAIN, GENERATION = "leicos-prepare", "leicos-train", "leicos-generate"
REPLAYING, REPORTING, EVERY = "leicos-replay", "leicos-report", ""

START = Stage("start", Kind.STEP, PREPARE, "First task: check the configuration, make run.json.",
    inputs=("config",), outputs=(("post-train", "false"), ("train-idm", "false")))  # fmt: skip
CONVERT = Stage("convert", Kind.WHOLE, PREPARE, "Convert the recordings to a LeRobot v2.1 dataset.",
    hours=6, prefix="dataset")  # fmt: skip
COSMOS_DATASET = Stage("cosmos-dataset", Kind.WHOLE, PREPARE, "Write the generator's post-training folder.",
    hours=6, needs=("convert",), prefix="cosmos/dataset")  # fmt: skip
POST_TRAIN = Stage("post-train", Kind.WHOLE, TRAIN, "Post-train the generator, export its checkpoint.",
    pool=Pool.TRAIN, image=Image.COSMOS, hours=48, needs=("cosmos-dataset",), prefix="cosmos/checkpoint",
    )  # fmt: skip
TRAIN_IDM = Stage("train-idm", Kind.WHOLE, TRAIN, "Train the IDM, label the held-out demos' real videos.",
    pool=Pool.TRAIN, image=Image.IDM, hours=24, needs=("convert",), prefix="idm")  # fmt: skip
PLAN = Stage("plan", Kind.WHOLE, PREPARE, "Choose the samples; write their clips and start states.",
    hours=6, needs=("convert",), prefix="plan")  # fmt: skip
PLAN_ROUND = Stage("plan-round", Kind.STEP, GENERATION, "List what is missing, for workers to take.",
    inputs=("round", "max-workers"), outputs=(("workers", "[]"), ("videos", "true"), ("labels", "true")),
    names_workflow=True)  # fmt: skip
GENERATE = Stage("generate", Kind.SAMPLE, GENERATION, "Generate videos that nobody has taken; commit each.",
    pool=Pool.GENERATE, image=Image.COSMOS, hours=24, inputs=("round", "worker"), names_workflow=True,
    prefix="generate", in_round=True)  # fmt: skip
GATE = Stage("gate", Kind.SAMPLE, GENERATION, "Check a worker's videos.",
    version=2, hours=2, inputs=("round", "worker"), names_workflow=True, prefix="gate", in_round=True,
    follows="generate")  # fmt: skip
LABEL = Stage("label", Kind.SAMPLE, GENERATION, "Label a worker's videos with actions.",
    pool=Pool.LABEL, image=Image.IDM, hours=4, inputs=("round", "worker"), names_workflow=True,
    prefix="label", in_round=True, follows="generate", after_gate=True)  # fmt: skip
ACCOUNT = Stage("account", Kind.STEP, GENERATION, "Count what a round left over.",
    inputs=("round",), outputs=(("missing", "0"),), names_workflow=True)  # fmt: skip
FAN_IN = Stage("fan-in", Kind.STEP, GENERATION, "Decide whether enough samples succeeded.",
    inputs=("max-workers",), outputs=(("replay-workers", "[]"), ("controls-workers", "[]")),
    names_workflow=True)  # fmt: skip
REPLAY_DEMOS = Stage("replay-demos", Kind.WHOLE, REPLAYING, "Replay the real demos' actions and labels.",
    pool=Pool.REPLAY, image=Image.ISAAC, hours=12, needs=("convert", "train-idm"), prefix="demos")  # fmt: skip
REPLAY = Stage("replay", Kind.SAMPLE, REPLAYING, "Replay labels in the simulator.",
    pool=Pool.REPLAY, image=Image.ISAAC, hours=12, inputs=("worker",), names_workflow=True, prefix="replay",
    after_gate=True)  # fmt: skip
CONTROLS = Stage("controls", Kind.SAMPLE, REPLAYING, "Replay true, foreign and shuffled actions for comparison.",
    pool=Pool.REPLAY, image=Image.ISAAC, hours=12, inputs=("worker",), names_workflow=True, prefix="controls",
    after_gate=True, drawn=True)  # fmt: skip
CURATE = Stage("curate", Kind.WHOLE, REPORTING, "Choose the samples that enter the synthetic dataset.",
    needs=("plan",), prefix="curate")  # fmt: skip
ASSEMBLE = Stage("assemble", Kind.WHOLE, REPORTING, "Write the synthetic LeRobot v2.1 dataset with provenance.",
    hours=12, needs=("plan", "curate", "convert"), prefix="synthetic")  # fmt: skip
REPORT = Stage("report", Kind.WHOLE, REPORTING, "Write the HTML report, also of what is there so far.",
    version=2, hours=2, needs=("convert", "plan", "curate", "assemble"), prefix="report")  # fmt: skip
FINISH = Stage("finish", Kind.STEP, EVERY, "Exit handler: summary and webhook.", hours=0.25)

STAGES = {
    stage.name: stage
    for stage in (
        START, CONVERT, COSMOS_DATASET, POST_TRAIN, TRAIN_IDM, PLAN, PLAN_ROUND, GENERATE, GATE, LABEL, ACCOUNT, FAN_IN,
        REPLAY_DEMOS, REPLAY, CONTROLS, CURATE, ASSEMBLE, REPORT, FINISH,
    )
}  # fmt: skip
"""In the order of the pipeline."""
WHOLE = tuple(stage.name for stage in STAGES.values() if stage.kind is Kind.WHOLE)
SAMPLE = tuple(stage.name for stage in STAGES.values() if stage.kind is Kind.SAMPLE)
CHAIN = tuple(stage for stage in SAMPLE if not STAGES[stage].drawn)
"""Stages that every sample goes through."""
AFTER_GATE = tuple(stage.name for stage in STAGES.values() if stage.after_gate)
COMMITTING = tuple(stage.name for stage in STAGES.values() if stage.kind is not Kind.STEP)
