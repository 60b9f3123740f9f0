"""The LeIsaac x Cosmos tutorial from its first step to its last, each beside what does it here and why it differs.

The tutorial is the page of LeIsaac at 24d3bcd, with its ending of January 2026: back to HDF5, merged, replayed
(docs/decisions/leisaac.md). Its Cosmos part is written where Cosmos' commands are.
"""

from __future__ import annotations

from leicos_jobs.backends.cosmos_predict25 import explain
from leicos_jobs.backends.cosmos_predict25.explain import Step
from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
from leicos_jobs.backends.gr00t_dreams.configs import intended_differences
from leicos_jobs.backends.gr00t_dreams.settings import TrainerSettings
from leicos_jobs.backends.isaac.settings import IsaacSettings
from leicos_jobs.robots.embodiment import DEFAULT, embodiment, is_file
from leicos_jobs.run.config import RunConfig

SHIPPED_TASK = IsaacSettings().task


def steps_for(config: RunConfig) -> list[Step]:
    """All steps of the tutorial in its order, with this configuration's task, sizes and settings. Raises InputError."""
    ours = config.generate.backend == "cosmos-predict2.5"
    settings = CosmosSettings.model_validate(config.generate.settings if ours else {})
    size = (config.generate.width, config.generate.height)
    task = config.source.task or "Task of the demo"
    cosmos = explain.steps(settings, task, config.generate.frames, size)
    files = config.source.files
    return [_record(files[0]), _convert(task, files), _install_cosmos(), *cosmos, _install_idm(), _modality(config),
            _train(config), _infer(), _replay(config), _back(), _merge(), _watch()]  # fmt: skip


def _record(file: str) -> Step:
    return Step(
        "1.1 teleoperation",
        (
            f"python scripts/environments/teleoperation/teleop_se3_agent.py --task={SHIPPED_TASK} "
            "--teleop_device=so101leader --record --dataset_file=dataset.hdf5",
        ),
        (f"leicos inspect {file}", "leicos record demos.hdf5   # no arm at hand: a scripted expert in MuJoCo"),
        (
            "recording stays LeIsaac's; leicos reads the file and names every problem in it before anything else",
            "a demo without a success mark was interrupted: it is left out and told, or taken with --accept-unmarked",
            "record more demos into the same file (--resume): a demo counts by its content, finished videos are kept",
        ),
    )


def _convert(task: str, files: tuple[str, ...]) -> Step:
    return Step(
        "1.2 HDF5 to LeRobot",
        (
            "edit scripts/convert/isaaclab2lerobot.py: video.codec av1 -> h264",
            f"python scripts/convert/isaaclab2lerobot.py --task_name {SHIPPED_TASK} --repo_id NAME "
            f"--hdf5_files {files[0]} --task_description '{task}'",
        ),
        ("leicos convert --run RUN", f"leicos to-lerobot {' '.join(files)} --task '{task}' --out dataset   # alone"),
        (
            "H.264 in fact: the edit changes metadata alone, lerobot 0.3.3 goes on writing AV1",
            "videos play at true speed: rows are recorded at 60 per second and images at 30, upstream labels all rows "
            "30 fps, so every image stands twice and motion is half as fast (--row-for-row does as upstream)",
            "every table is checked: widths, limits, NaN; what is left out is told with its reason",
            "which rows of which demo an episode holds is kept in meta/leicos: replay needs it",
        ),
    )


def _install_cosmos() -> Step:
    return Step(
        "2.1 installing Cosmos-Predict2.5",
        ("git clone https://github.com/nvidia-cosmos/cosmos-predict2.5, then its setup guide",),
        ("docker build -f images/cosmos/Dockerfile .", "leicos verify cosmos"),
        (
            "upstream's commit, weights and packages are pinned in images/upstreams.toml",
            "leicos verify makes one video and looks at it before a run is paid for",
        ),
    )


def _install_idm() -> Step:
    return Step(
        "3.1 installing the IDM",
        (
            "Cosmos-Predict2's environment (not 2.5)",
            "uv pip install openai tyro numpydantic albumentations tianshou",
            "uv pip install --no-build-isolation git+https://github.com/facebookresearch/pytorch3d.git",
            "remove apex where it fails",
        ),
        ("docker build -f images/idm/Dockerfile .", "leicos verify gr00t-dreams --checkout GR00T-Dreams ..."),
        ("one requirements file: upstream's three lists of versions contradict each other",),
    )


def _modality(config: RunConfig) -> Step:
    name = config.source.robot
    robot = embodiment(DEFAULT if is_file(name) else name)
    why = {f"{item.file}, {item.where.split('.')[-1]}: {item.theirs} there, {item.ours} here: {item.reason}"
           for item in intended_differences(robot)}  # fmt: skip
    return Step(
        "3.2.1 modality.json and DataConfig",
        (
            "write modality.json into IDM_dump/global_metadata/EMBODIMENT/ and <path_to_lerobot_dataset>/meta/",
            "write a class So101DataConfig into gr00t/experiment/data_config_idm.py and register it",
        ),
        ("leicos convert --run RUN   # dataset/meta/modality.json", "the data config is made from the robot's file"),
        ("both come from one description of the robot, so they cannot contradict each other", *sorted(why)),
    )


def _train(config: RunConfig) -> Step:
    chosen = config.idm.settings if config.idm.backend == "gr00t-dreams" else {}
    settings = TrainerSettings.model_validate(chosen)
    return Step(
        "3.2.2 training the IDM",
        (
            "PYTHONPATH=. torchrun scripts/idm_training.py --dataset-path <path_to_lerobot_dataset> "
            "--data-config so101 --output_dir OUT",
            "copy meta/stats.json to IDM_dump/global_metadata/EMBODIMENT/",
        ),
        (
            "leicos train-idm --run RUN",
            f"    idm.settings: {{steps: {settings.steps}, batch: {settings.batch}, "
            f"learning_rate: {settings.learning_rate:g}}}",
        ),
        (
            f"demos are held out ({config.split.held_out_share:g} of them), and the error on them is measured: "
            "upstream trains on all and measures nothing",
            "statistics, geometry and checkpoint are sealed in one artifact: with other statistics upstream's labels "
            "are wrong without an error",
            "a pod that is lost goes on from its last checkpoint; upstream's working folder is lost with it",
            "idm.backend: compact trains in minutes on a CPU, for one scene",
        ),
    )


def _infer() -> Step:
    return Step(
        "3.3 labels",
        (
            "write checkpoint-10000/experiment_cfg/conf.yaml by hand",
            "copy preprocess_leisaac/ and so101.sh into the checkout",
            "PYTHONPATH=. bash IDM_dump/scripts/preprocess/so101.sh",
        ),
        ("leicos label --run RUN ...", "leicos label-videos ARTIFACT videos/*.mp4 --out labels   # any videos"),
        (
            "conf.yaml is written by the training",
            "videos are stretched as in training: upstream's scripts letterbox them to 256x256, a geometry that the "
            "model never saw",
            "labels keep the dataset's rate: upstream's scripts say 16 frames per second",
            "labels cannot change places: with more than one thread upstream puts them together in the order in which "
            "they were finished, and its files lose the task's text",
            "NaN, zeros and values beyond the motors' range are refused; upstream exits with 0 if every worker failed",
        ),
    )


def _replay(config: RunConfig) -> Step:
    chosen = config.replay.settings.get("task", SHIPPED_TASK) if config.replay.backend == "isaac-sim" else SHIPPED_TASK
    return Step(
        "4 replay (the tutorial until January 2026)",
        (f"python scripts/replay.py --task {chosen} --enable_cameras",),
        ("leicos replay --run RUN", "leicos controls --run RUN", "leicos curate --run RUN"),
        (
            "each sample begins in its own demo's state, at the row that its video begins with",
            "success is asked of the task's own rule at every step: replay.py empties the terminations",
            "true actions (ceiling), another demo's and shuffled ones (floors) are replayed too, so that a rate means "
            "something",
            "only what succeeds, or what passes the checks where nobody can tell success, enters the dataset",
        ),
    )


def _back() -> Step:
    return Step(
        "4.1 back to LeIsaac's HDF5 (the tutorial since January 2026)",
        (
            "python scripts/convert/lerobot2isaaclab.py --lerobot_dir <path_to_idm_output_lerobot> "
            "--output_hdf5 <path_to_idm_output_hdf5> --column_keys action observation.state",
        ),
        ("leicos to-leisaac RUN --out lift.hdf5",),
        (
            "actions stand at the control rate: upstream writes one row per frame, so the arm moves at double speed",
            "states, joint positions and success come from carrying the actions out",
        ),
    )


def _merge() -> Step:
    return Step(
        "4.2 merging (the tutorial since January 2026)",
        (
            "python scripts/tutorials/cosmos_merge.py --lerobot_hdf5 <path_to_idm_output_hdf5> "
            "--source_hdf5 <path_to_source_leisaac_hdf5> --output_hdf5 <path_to_output_hdf5>",
        ),
        (
            "leicos to-leisaac RUN --out lift.hdf5   # the same file",
            "leicos merge DATASET RUN --out all   # LeRobot",
        ),
        (
            "every episode begins in its own state: cosmos_merge gives all of them that of the first demo, with the "
            "cube some centimetres off",
        ),
    )


def _watch() -> Step:
    replay = f"python scripts/environments/teleoperation/replay.py --task={SHIPPED_TASK} --enable_cameras"
    return Step(
        "4.3 replay in LeIsaac (the tutorial since January 2026)",
        (f"{replay} --dataset_file=merged.hdf5",),
        (f"{replay} --dataset_file=lift.hdf5",),
        ("the same script reads the file of leicos to-leisaac as it is",),
    )
