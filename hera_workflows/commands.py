"""One container template for each stage of the table (`leicos_jobs.core.stages`).

Plain containers: command ["leicos"], the arguments of the command line, and what `policies` and `pools` say. A template
takes all it needs as inputs, not from `workflow.parameters`, so that it works from every workflow that refers to it.
Volumes and security settings stand on the template for the same reason: those of a workflow's spec do not follow a
templateRef.
"""

from __future__ import annotations

from hera.workflows import Container, Env, Parameter, Resources, models

from hera_workflows import images, pools
from hera_workflows.images import Images
from hera_workflows.parameters import RUN_OF_WORKFLOW
from hera_workflows.policies import HOUR, container_security, pod_security, retry
from hera_workflows.strict import exactly
from leicos_jobs.core.pod import POD
from leicos_jobs.core.stages import FINISH, REPORT, START, Pool, Stage

OUTPUTS = "/tmp/outputs"
CONFIG_DIRECTORY = "/etc/leicos/config"
STORE_ENV = "leicos-s3"
"""Name of the optional Secret and ConfigMap whose keys become environment variables (AWS_*, endpoint)."""

TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where Kubernetes puts the token of the pod's account into every container that mounts nothing there itself."""

REPORT_KEY = "{{=sprig.regexReplaceAll('^s3://[^/]*/|/+$', inputs.parameters.run, '')}}/argo/report/"
"""Where the report's copy lies: below the run, so that the rights for the run suffice and it goes when the run goes."""

CONFIG_MAP_NAME = (
    "{{=inputs.parameters.config matches '^[a-z0-9][-a-z0-9.]{0,252}$'"
    " ? inputs.parameters.config : 'leicos-no-config'}}"
)
"""The ConfigMap to mount for `start`: the parameter when it can be a name (a URI has a colon, YAML too), else none.

The mount is optional, so a name that does not exist leaves an empty folder and `start` says so.
"""


IN_WORKFLOW = ("--workflow", "{{workflow.name}}")
WORKFLOW = "{{workflow.namespace}}/{{workflow.name}}"
ENDED = ("--status", "{{workflow.status}}", "--failures", "{{workflow.failures}}")
OUTCOME = ("--run", RUN_OF_WORKFLOW, *ENDED, "--workflow", WORKFLOW)
"""Arguments of the exit handler. Nobody gives it any, so it is the one template that reads a workflow parameter."""


def template(command: Stage, where: Images) -> Container:
    """The container template of a stage's command."""
    inputs = () if command is FINISH else ("run", *command.inputs)
    given = [part for name in inputs for part in (f"--{name}", value_of(name))]
    extra = OUTCOME if command is FINISH else IN_WORKFLOW if command.names_workflow else ()
    arguments = [command.name, *given, *extra]
    artifacts = [report_artifact()] if command is REPORT else []
    if command.outputs:
        arguments += ["--outputs", OUTPUTS]
    return Container(
        name=command.name,
        labels={pools.LABEL: command.pool.value, images.LABEL: command.image.value},
        inputs=[Parameter(name=name) for name in inputs] or None,
        outputs=[*(output(name, default) for name, default in command.outputs), *artifacts] or None,
        image=where.reference(command.image),
        image_pull_policy=where.pull_policy,
        command=["leicos"],
        args=arguments,
        env=environment(command),
        env_from=store_environment(),
        resources=resources(command.pool),
        volumes=volumes(command),
        volume_mounts=mounts(command),
        security_context=container_security(),
        pod_security_context=pod_security(),
        active_deadline_seconds=int(command.hours * HOUR),
        retry_strategy=retry(command.retries),
    )


def value_of(parameter: str) -> str:
    """Reference to an input parameter."""
    return "{{inputs.parameters." + parameter + "}}"


def output(name: str, default: str) -> Parameter:
    """An output parameter: a file that the command writes. The default also stands for a skipped task."""
    return Parameter(name=name, value_from=exactly(models.ValueFrom, path=f"{OUTPUTS}/{name}", default=default))


def report_artifact() -> models.Artifact:
    """The static report for the Argo UI, kept as plain files under a key that ends in "/", which the UI shows as pages.

    The same pages lie under the run root; this copy, in the folder that LEICOS_REPORT_DIRECTORY names, exists because
    the UI shows artifacts and nothing else.
    """
    return exactly(
        models.Artifact,
        name="report",
        path=f"{OUTPUTS}/report",
        archive=exactly(models.ArchiveStrategy, none=models.NoneStrategy()),
        optional=True,
        s3=exactly(models.S3Artifact, key=REPORT_KEY),
    )


def environment(command: Stage) -> list[Env]:
    """Variables of every pod. HOME must be writable, libraries keep caches there; the root file system is not."""
    variables = {"HOME": "/tmp", "LEICOS_ATTEMPT": "{{retries}}", POD: "true"}
    if command is START:
        variables["LEICOS_CONFIG_DIRECTORY"] = CONFIG_DIRECTORY
    if command is REPORT:
        variables["LEICOS_REPORT_DIRECTORY"] = f"{OUTPUTS}/report"
    return [Env(name=name, value=value) for name, value in variables.items()]


def store_environment() -> list[models.EnvFromSource]:
    """Credentials and endpoint of the store, if the cluster does not give them by workload identity."""
    return [
        exactly(models.EnvFromSource, secret_ref=exactly(models.SecretEnvSource, name=STORE_ENV, optional=True)),
        exactly(models.EnvFromSource, config_map_ref=exactly(models.ConfigMapEnvSource, name=STORE_ENV, optional=True)),
    ]


def resources(pool: Pool) -> Resources:
    """Requests and limits of a pod in this pool. No CPU limit: throttling video decoding helps nobody."""
    size = pools.SIZES[pool]
    return Resources(
        cpu_request=size.cpu, memory_request=size.memory, memory_limit=size.memory_limit, gpus=size.gpus or None
    )


def volumes(command: Stage) -> list[models.Volume]:
    """Scratch space at /tmp, the only place where a pod may write; for `start` also the configuration's ConfigMap."""
    size = exactly(models.EmptyDirVolumeSource, size_limit=pools.SIZES[command.pool].scratch)
    empty = {"tmp": size, "no-token": exactly(models.EmptyDirVolumeSource)}
    found = [exactly(models.Volume, name=name, empty_dir=source) for name, source in empty.items()]
    if command is START:
        source = exactly(models.ConfigMapVolumeSource, name=CONFIG_MAP_NAME, optional=True)
        found.append(exactly(models.Volume, name="config", config_map=source))
    return found


def mounts(command: Stage) -> list[models.VolumeMount]:
    """Where the volumes are mounted."""
    found = [exactly(models.VolumeMount, name="tmp", mount_path="/tmp")]
    # Only Argo's executor talks to the API server: an empty folder keeps the account's token out of this container.
    found.append(exactly(models.VolumeMount, name="no-token", mount_path=TOKEN_DIRECTORY, read_only=True))
    if command is START:
        found.append(exactly(models.VolumeMount, name="config", mount_path=CONFIG_DIRECTORY, read_only=True))
    return found
