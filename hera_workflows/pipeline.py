"""The six WorkflowTemplates. Each is useful alone; `leicos-pipeline` is all of them in one DAG.

Every command skips what is committed, so a DAG may begin with a step that an earlier workflow has done: `leicos-train`
starts with convert, `leicos-generate` with plan. That costs a short pod and makes each template complete.
"""

from __future__ import annotations

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate, models

from hera_workflows import commands, parameters, rounds
from hera_workflows.images import Images
from hera_workflows.rounds import FINISHED
from hera_workflows.strict import exactly
from hera_workflows.tasks import PIPELINE, output_of, task
from leicos_jobs.core import stages
from leicos_jobs.core.stages import GENERATION, PREPARE, REPLAYING, REPORTING, TRAIN

SERVICE_ACCOUNT = "leicos-workflow"
MAIN = "main"
DAY = 86_400
DESCRIPTION = "workflows.argoproj.io/description"
"""Annotation that the Argo UI shows."""

CONFIG = {"config": "{{workflow.parameters.config}}"}
MAX_ROUNDS = "{{workflow.parameters.max-rounds}}"
TWICE_MAX_ROUNDS = "{{=string(2 * asInt(workflow.parameters['max-rounds']))}}"
"""Rounds are numbered on, so that the second ones' lists lie beside the first ones'."""
POST_TRAIN_WANTED = f"{output_of(stages.START, 'post-train')} == true"
NO_POST_TRAIN = f"{output_of(stages.START, 'post-train')} == false"
TRAIN_IDM_WANTED = f"{output_of(stages.START, 'train-idm')} == true"


def workflow_templates(where: Images | None = None) -> list[WorkflowTemplate]:
    """All six, in the order in which they are installed: those that others refer to come first."""
    run, config, limits = parameters.RUN, parameters.CONFIG, [parameters.MAX_ROUNDS, parameters.MAX_WORKERS]
    again = [task(GENERATION, stages.PLAN), *generation(GENERATION)]  # an existing plan, or one made now
    replays = [fan_in(REPLAYING, None), *replaying(REPLAYING, None)]  # fan-in lists again what is to do
    return [
        workflow_template(name, description, arguments, tasks, where or Images())
        for name, description, arguments, tasks in (
            (PREPARE, "HDF5 demonstrations to a plan of samples", [run, config], prepare()),
            (TRAIN, "Post-train Cosmos and train the IDM", [run, config], training(TRAIN)),
            (GENERATION, "Generate, gate and label a plan's samples", [run, *limits], again),
            (REPLAYING, "Replay labelled samples and the controls", [run, parameters.MAX_WORKERS], replays),
            (REPORTING, "Curate, assemble the dataset, write the report", [run], reporting(REPORTING, None)),
            (PIPELINE, "From demonstrations to a synthetic dataset", [run, config, *limits], pipeline()),
        )
    ]


def workflow_template(
    name: str, description: str, arguments: list[Parameter], tasks: list[Task], where: Images
) -> WorkflowTemplate:
    """One WorkflowTemplate: its main DAG, the templates that it is the home of, and its exit handler."""
    own = [commands.template(stage, where) for stage in stages.STAGES.values() if stage.home == name]
    loops = [rounds.round_(), rounds.worker()] if name == GENERATION else []
    finish = commands.template(stages.FINISH, where)
    return WorkflowTemplate(
        name=name,
        labels={"app.kubernetes.io/name": "leicos", "app.kubernetes.io/component": name.removeprefix("leicos-")},
        annotations={DESCRIPTION: description},
        entrypoint=MAIN,
        on_exit=stages.FINISH.name,
        service_account_name=SERVICE_ACCOUNT,
        arguments=arguments,
        synchronization=exactly(models.Synchronization, mutexes=[exactly(models.Mutex, name=parameters.MUTEX)]),
        workflow_metadata=exactly(models.WorkflowMetadata, annotations={DESCRIPTION: parameters.HOW_TO_GO_ON}),
        ttl_strategy=exactly(models.TTLStrategy, seconds_after_success=7 * DAY, seconds_after_failure=30 * DAY),
        templates=[DAG(name=MAIN, tasks=[*tasks]), *loops, *own, finish],
    )


def prepare() -> list[Task]:
    """HDF5 to plan. A plan names the checkpoint, so where Cosmos is to be post-trained it waits for leicos-generate."""
    return [
        task(PREPARE, stages.START, arguments=CONFIG),
        task(PREPARE, stages.CONVERT, depends="start"),
        task(PREPARE, stages.COSMOS_DATASET, depends="convert"),
        task(PREPARE, stages.PLAN, depends="cosmos-dataset", when=NO_POST_TRAIN),
    ]


def training(here: str) -> list[Task]:
    """From the configuration to trained models; what the configuration brings along is not trained."""
    return [
        task(here, stages.START, arguments=CONFIG),
        task(here, stages.CONVERT, depends="start"),
        task(here, stages.COSMOS_DATASET, depends="convert"),
        task(here, stages.POST_TRAIN, depends="cosmos-dataset", when=POST_TRAIN_WANTED),
        task(here, stages.TRAIN_IDM, depends="convert", when=TRAIN_IDM_WANTED),
    ]


def generation(here: str) -> list[Task]:
    """The rounds and what decides after them: fan-in runs however they ended, and applies the minimum success ratio."""
    return [
        rounds.rounds(here, "rounds", "plan", "0", MAX_ROUNDS),
        fan_in(here, FINISHED.format("rounds")),
    ]


def generation_beside_training(here: str) -> list[Task]:
    """The same where the IDM is trained meanwhile: rounds do not wait for it. Those after both have ended label what
    could not be labelled before; where the IDM was there in time, they find nothing to do."""
    return [
        rounds.rounds(here, "rounds", "plan", "0", MAX_ROUNDS),
        rounds.rounds(here, "labels", f"({FINISHED.format('rounds')}) && train-idm", MAX_ROUNDS, TWICE_MAX_ROUNDS),
        fan_in(here, FINISHED.format("labels")),
    ]


def fan_in(here: str, depends: str | None) -> Task:
    """What decides after the rounds, and lists what there is to replay."""
    limit = {"max-workers": parameters.MAX_WORKERS_OF_WORKFLOW}
    return task(here, stages.FAN_IN, depends=depends, arguments=limit)


def replaying(here: str, demos_depend: str | None) -> list[Task]:
    """Replay of the samples and of their controls, each by several workers; that of the demos needs no sample."""

    def workers(stage: stages.Stage, name: str) -> Task:
        listed = output_of(stages.FAN_IN, name)
        return task(here, stage, depends="fan-in", with_param=listed, arguments={"worker": "{{item}}"})

    return [
        task(here, stages.REPLAY_DEMOS, depends=demos_depend),
        workers(stages.REPLAY, "replay-workers"),
        workers(stages.CONTROLS, "controls-workers"),
    ]


def reporting(here: str, depends: str | None) -> list[Task]:
    """Curate, assemble, report."""
    return [
        task(here, stages.CURATE, depends=depends),
        task(here, stages.ASSEMBLE, depends="curate"),
        task(here, stages.REPORT, depends="assemble"),
    ]


def pipeline() -> list[Task]:
    """Everything. `a && b` admits skipped tasks, so a training that is not wanted does not hold up the plan."""
    return [
        *training(PIPELINE),
        task(PIPELINE, stages.PLAN, depends="convert && post-train"),
        *generation_beside_training(PIPELINE),
        *replaying(PIPELINE, "train-idm"),
        *reporting(PIPELINE, "replay && controls && replay-demos"),
    ]
