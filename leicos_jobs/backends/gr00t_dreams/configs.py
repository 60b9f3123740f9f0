"""From an embodiment to what GR00T-Dreams wants to know of a robot: the data config and conf.yaml, one definition.

`conf` is the content of `experiment_cfg/conf.yaml`, which upstream's dump script reads; the training driver builds the
data config from the same structure and registers it at run time, so training and labelling cannot differ. Field and
class names are upstream's (gr00t/experiment/data_config_idm.py, IDM_dump/dump_idm_actions.py at ec3881d). modality.json
and stats.json come from `leicos_jobs.formats.gr00t`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.gr00t import TASK_KEY
from leicos_jobs.formats.lerobot_layout import ACTION, STATE
from leicos_jobs.robots.embodiment import Embodiment

FRAME_OFFSETS = (0, 16)
"""Dataset rows of a window's two frames, relative to its first. Offsets, not video numbers."""
HORIZON = 16
"""Actions that a window predicts, for rows 0 ... 15 after its first."""
CROP = 0.95
RESIZE = 224
MAX_STATE, MAX_ACTION = 64, 32
"""Widest vectors that the model takes."""
METADATA_VERSION = "v2.1"

_DATASET = "gr00t.data.dataset.ModalityConfig"
_VIDEO = "gr00t.data.transform.video."
_VECTORS = "gr00t.data.transform.state_action."


@dataclass(frozen=True)
class Difference:
    """An intended difference between a file of ours and the tutorial's. where: path within the file."""

    file: str
    where: str
    theirs: Any
    ours: Any
    reason: str


def intended_differences(robot: Embodiment) -> list[Difference]:
    """All intended differences from the tutorial's files (docs/decisions/idm.md 6), with their reasons."""
    padding = "with false, windows past an episode's end are padded with zeros and the model learns to jump to 0"
    found = [
        Difference("modality.json", f"action.{name}.absolute", False, True, padding)
        for name, _, _ in robot.modalities(robot.action)
    ]
    one = "the tutorial's two definitions disagree ([0, 16] here, [0] in conf.yaml); the network is fed no language"
    return [*found, Difference("data config", "language.delta_indices", list(FRAME_OFFSETS), [0], one)]


def _vectors(keys: list[str]) -> list[dict[str, Any]]:
    return [
        {"_target_": _VECTORS + "StateActionToTensor", "apply_to": keys},
        {
            "_target_": _VECTORS + "StateActionTransform",
            "apply_to": keys,
            "normalization_modes": dict.fromkeys(keys, "min_max"),
        },
    ]


def keys(robot: Embodiment) -> tuple[list[str], list[str]]:
    """Modality keys of state and action, in order."""
    state = [f"state.{name}" for name, _, _ in robot.modalities(robot.state)]
    return state, [f"action.{name}" for name, _, _ in robot.modalities(robot.action)]


def require_fit(robot: Embodiment) -> None:
    """Raise InputError if the robot's vectors are wider than the model's."""
    for what, vector, most in (("state", robot.state, MAX_STATE), ("action", robot.action, MAX_ACTION)):
        if vector.width > most:
            raise InputError(
                f"{robot.name} has {vector.width} numbers per {what}, gr00t-dreams takes at most {most}",
                fix=f"name fewer of them in the robot's {what}_joints, or use idm.backend: compact",
            )


def transforms(robot: Embodiment, cameras: Sequence[str]) -> dict[str, Any]:
    """The transform chain: to tensor, crop, resize, colour jitter (training only), min-max to -1..1, concatenate."""
    video = [f"video.{camera}" for camera in cameras]
    state, action = keys(robot)
    jitter = {"brightness": 0.3, "contrast": 0.4, "saturation": 0.5, "hue": 0.08}
    chain: list[dict[str, Any]] = [
        {"_target_": _VIDEO + "VideoToTensor", "apply_to": video},
        {"_target_": _VIDEO + "VideoCrop", "apply_to": video, "scale": CROP},
        {"_target_": _VIDEO + "VideoResize", "apply_to": video, "height": RESIZE, "width": RESIZE,
         "interpolation": "linear"},
        {"_target_": _VIDEO + "VideoColorJitter", "apply_to": video, **jitter},
        {"_target_": _VIDEO + "VideoToNumpy", "apply_to": video},
        *_vectors(state),
        *_vectors(action),
        {"_target_": "gr00t.data.transform.concat.ConcatTransform", "video_concat_order": video,
         "state_concat_order": state, "action_concat_order": action},
        {"_target_": "gr00t.model.transforms_idm.GR00TIDMTransform", "state_horizon": len(FRAME_OFFSETS),
         "action_horizon": HORIZON, "max_state_dim": MAX_STATE, "max_action_dim": MAX_ACTION},
    ]  # fmt: skip
    return {"_target_": "gr00t.data.transform.base.ComposedModalityTransform", "transforms": chain}


def modality_configs(robot: Embodiment, cameras: Sequence[str]) -> dict[str, Any]:
    """Which rows of which columns a window takes."""
    offsets, (state, action) = list(FRAME_OFFSETS), keys(robot)
    parts = {
        "video": (offsets, [f"video.{camera}" for camera in cameras]),
        "state": (offsets, state),
        "action": (list(range(HORIZON)), action),
        "language": ([0], [f"annotation.{TASK_KEY}"]),
    }
    return {
        name: {"_target_": _DATASET, "delta_indices": rows, "modality_keys": keys}
        for name, (rows, keys) in parts.items()
    }


def conf(robot: Embodiment, cameras: Sequence[str]) -> dict[str, Any]:
    """Content of experiment_cfg/conf.yaml."""
    return {
        "modality_configs": {robot.name: modality_configs(robot, cameras)},
        "all_transforms": {robot.name: transforms(robot, cameras)},
        "metadata_versions": {robot.name: METADATA_VERSION},
    }


def metadata(
    robot: Embodiment, camera: str, stats: dict[str, Any], geometry: tuple[int, int], fps: float
) -> dict[str, Any]:
    """Content of experiment_cfg/metadata.json as upstream's training writes it (gr00t/data/schema.py,
    DatasetMetadata). stats: stats.json; geometry: (width, height) px."""
    found: dict[str, Any] = {"statistics": {}, "modalities": {}, "embodiment_tag": robot.gr00t.tag}
    for modality, column, vector in (("state", STATE, robot.state), ("action", ACTION, robot.action)):
        groups = robot.modalities(vector)
        found["statistics"][modality] = {
            name: {key: values[start:end] for key, values in stats[column].items()} for name, start, end in groups
        }
        one = {"absolute": True, "rotation_type": None, "continuous": True}
        found["modalities"][modality] = {name: one | {"shape": [end - start]} for name, start, end in groups}
    found["modalities"]["video"] = {camera: {"resolution": list(geometry), "channels": 3, "fps": fps}}
    return {robot.gr00t.tag: found}


class _Plain(yaml.SafeDumper):
    """Repeats a list instead of naming it by an anchor, so that people can read the file."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _joints(robot: Embodiment) -> str:
    """How many numbers a vector has, for people."""
    state, action = robot.state.width, robot.action.width
    return f"{action} joints" if state == action else f"{action} joints (state {state})"


def conf_yaml(robot: Embodiment, cameras: Sequence[str]) -> str:
    """Text of experiment_cfg/conf.yaml."""
    head = f"# {robot.name}: {_joints(robot)}, cameras {', '.join(cameras)}. Made by leicos.\n"
    return head + yaml.dump(conf(robot, cameras), Dumper=_Plain, sort_keys=False)
