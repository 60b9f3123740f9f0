"""Our engine against upstream's own get_action, on a user's checkpoint and video, with the same start noise.

Upstream runs in its own interpreter (`upstream/idm_check.py`, in the checkout), because it needs packages that leicos
does not. Compared are what the network sees, what it predicts, and the actions in motor units.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from leicos_jobs.backends.gr00t_dreams import artifact, settings
from leicos_jobs.backends.gr00t_dreams.decode_pool import Chunk, DecodePool, Opened
from leicos_jobs.backends.gr00t_dreams.engine import Engine, default_plan
from leicos_jobs.backends.gr00t_dreams.labeller import build, choose_device, settle_arithmetic
from leicos_jobs.backends.gr00t_dreams.noise import window_noise
from leicos_jobs.backends.gr00t_dreams.pixels import to_rgb
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.programs import Program
from leicos_jobs.media.probe import probe
from leicos_jobs.robots.embodiment import DEFAULT, embodiment

SCRIPT = Path(__file__).parent / "upstream" / "idm_check.py"
BOUNDS = {"cpu": 1e-5, "cuda": 1e-3}
"""Largest relative difference in fp32, TF32 off on both sides."""
SEED = 20

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """relative: norm(ours - theirs) / norm(theirs - noise), normalised actions. units: largest difference of an action
    in motor units. bound: what `relative` must not exceed."""

    what: str
    relative: float
    units: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether it is within its bound; NaN never is."""
        return self.relative <= self.bound


@dataclass(frozen=True)
class Report:
    """Result of `verify`. pixels_differ: share of the network's input values that differ at all. differences: fp32
    always, bf16 against upstream under bf16 autocast on a GPU. seconds: of upstream's get_action and of ours, fp32."""

    device: str
    windows: int
    pixels_differ: float
    differences: tuple[Difference, ...]
    seconds: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether labels of this checkpoint can be trusted to be upstream's."""
        return self.pixels_differ == 0 and all(item.passed for item in self.differences)

    def to_json(self) -> dict[str, Any]:
        """For printing."""
        return asdict(self) | {"passed": self.passed}


def verify(
    checkout: Path,
    checkpoint: Path,
    video: Path,
    *,
    robot: str = DEFAULT,
    camera: str = "front",
    windows: int = 48,
    device: str = "auto",
    python: str | None = None,
    vision: dict[str, Any] | None = None,
) -> Report:
    """Compare on `windows` windows spread over the video. checkpoint: an artifact, or a folder of idm_training.py.

    Raises InputError if upstream cannot run, with what it said.
    """
    settings.require_commit(checkout)
    where = choose_device(device)
    settle_arithmetic()
    with tempfile.TemporaryDirectory(prefix="leicos-verify-") as name:
        scratch = Path(name)
        described = described_checkpoint(checkpoint, scratch / "artifact", robot, camera, vision)
        planes = read_planes(video, described.geometry)
        firsts = spread_windows(len(planes), windows)
        noise = start_noise(firsts)
        np.save(scratch / "frames.npy", to_rgb(planes, *described.geometry).numpy())
        np.save(scratch / "noise.npy", noise)
        job = {
            "checkpoint": str(described.folder), "robot": described.robot.name, "camera": described.camera,
            "frames": str(scratch / "frames.npy"), "windows": firsts, "second": described.frame_offsets[1],
            "noise": str(scratch / "noise.npy"), "batch": 32, "device": str(where), "autocast": False,
        }  # fmt: skip
        theirs = run_upstream(checkout, settings.python(python), job, scratch)
        plan = replace(default_plan(where, torch.float32), frames=32, windows=len(firsts), graphs=False)
        engine, preprocess = build(described, where, plan)
        seen = network_input(preprocess_all(preprocess, planes, engine), engine)
        ours, seconds = predict(engine, preprocess, planes, firsts, noise, described.frame_offsets[1])
        pairs = [row for first in firsts for row in (first, min(first + described.frame_offsets[1], len(planes) - 1))]
        found = [compare("fp32", ours, theirs["predicted"], noise, described, BOUNDS[where.type])]
        if where.type == "cuda":
            del engine, preprocess
            torch.cuda.empty_cache()
            found.append(_bf16(checkout, python, job, scratch, described, where, planes, firsts, noise, theirs))
        return Report(
            device=torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
            windows=len(firsts),
            pixels_differ=float((seen[pairs] != theirs["images"]).mean()),
            differences=tuple(found),
            seconds={"upstream": float(theirs["seconds"][-1]), "ours": seconds},
        )


def _bf16(
    checkout: Path, python: str | None, job: dict[str, Any], scratch: Path, described: artifact.Description,
    where: torch.device, planes: torch.Tensor, firsts: list[int], noise: F32, exact: dict[str, NDArray[Any]],
) -> Difference:  # fmt: skip
    """Our bf16 error against upstream's fp32, bounded by the error of upstream under bf16 autocast."""
    rough = run_upstream(checkout, settings.python(python), job | {"autocast": True}, scratch)
    plan = replace(default_plan(where, torch.bfloat16), windows=len(firsts), graphs=False)
    engine, preprocess = build(described, where, plan)
    ours, _ = predict(engine, preprocess, planes, firsts, noise, described.frame_offsets[1])
    bound = compare("", rough["predicted"], exact["predicted"], noise, described, 0).relative
    return compare("bf16, bound by upstream's autocast", ours, exact["predicted"], noise, described, bound)


def described_checkpoint(
    checkpoint: Path, out: Path, robot: str, camera: str, vision: dict[str, Any] | None
) -> artifact.Description:
    """The artifact itself, or one made in `out` from upstream's checkpoint folder and its experiment_cfg."""
    if (checkpoint / artifact.DESCRIPTION).is_file():
        return artifact.load(checkpoint)
    path = checkpoint / artifact.METADATA
    try:
        described = embodiment(robot)
        facts = json.loads(path.read_text())[described.gr00t.tag]
        seen = facts["modalities"]["video"][camera]
        stats = {
            column: {
                key: [float(one) for name, _, _ in groups for one in np.ravel(facts["statistics"][kind][name][key])]
                for key in ("mean", "std", "min", "max", "q01", "q99")
            }
            for kind, column, groups in (
                ("action", "action", described.modalities(described.action)),
                ("state", "observation.state", described.modalities(described.state)),
            )
        }
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path} does not describe robot {robot} with camera {camera}: {error!r}") from error
    width, height = seen["resolution"]
    return artifact.publish(
        checkpoint, out, described, camera, stats=stats, geometry=(int(width), int(height)), fps=float(seen["fps"]),
        facts={"source": str(checkpoint)}, vision=vision,
    )  # fmt: skip


def run_upstream(checkout: Path, python: str, job: dict[str, Any], scratch: Path) -> dict[str, NDArray[Any]]:
    """Run `upstream/idm_check.py` in the checkout; what it wrote. Raises InputError with the end of its output."""
    out = scratch / f"upstream-{time.monotonic_ns()}.npz"
    path = scratch / "job.json"
    path.write_text(json.dumps(job | {"out": str(out)}))
    program = Program([python, SCRIPT, path], cwd=checkout, env=settings.environment(checkout))
    try:
        code = program.wait()
    finally:
        program.kill()
    if code != 0 or not out.is_file():
        raise InputError(
            f"GR00T-Dreams in {checkout} could not compute its own answer (exit {code}):\n{program.tail()}",
            fix=f"name an interpreter with its packages by {settings.PYTHON_VARIABLE}, and fill its model cache",
        )
    with np.load(out) as found:
        return dict(found)


def read_planes(video: Path, geometry: tuple[int, int]) -> torch.Tensor:
    """Every frame as yuv420p planes (L, height * 3 / 2, width) uint8. Raises InputError for another size."""
    info = probe(video)
    if info.size != geometry:
        raise InputError(f"{video} is {info.size}, the model was trained on {geometry}")
    width, height = geometry
    planes = np.empty((info.frames, height * 3 // 2, width), dtype=np.uint8)
    pool = DecodePool(1, planes[0].nbytes)
    try:
        for item in pool.read([video]):
            if isinstance(item, Opened):
                continue
            if isinstance(item, Chunk):
                planes[item.first : item.first + len(item.planes)] = item.planes
                item.release()
    finally:
        pool.close()
    return torch.from_numpy(planes)


def spread_windows(frames: int, count: int) -> list[int]:
    """First frames of up to `count` windows, even over the video, both ends included."""
    return sorted({int(x) for x in np.linspace(0, frames - 1, min(frames, count))})


def start_noise(firsts: Sequence[int], horizon: int = 16, width: int = 32) -> F32:
    """(windows, horizon, width) float32, each window's own."""
    rows = [window_noise(SEED, first, 1, horizon * width) for first in firsts]
    return np.concatenate(rows).reshape(len(firsts), horizon, width)


def preprocess_all(preprocess: Any, planes: torch.Tensor, engine: Engine) -> torch.Tensor:
    """All frames as patches, on the CPU: (L, patches, 3 * patch^2)."""
    found = []
    for first in range(0, len(planes), engine.plan.frames):
        part = planes[first : first + engine.plan.frames].to(engine.device)
        preprocess(part, engine.patches[: len(part)])
        found.append(engine.patches[: len(part)].float().cpu())
    return torch.cat(found)


def network_input(patches: torch.Tensor, engine: Engine) -> F32:
    """Patches back to pictures (L, 3, image, image) float32."""
    side, patch = engine.sizes.image // engine.sizes.patch, engine.sizes.patch
    split = patches.view(-1, side, side, 3, patch, patch).permute(0, 3, 1, 4, 2, 5)
    return split.reshape(-1, 3, engine.sizes.image, engine.sizes.image).numpy()


def predict(
    engine: Engine, preprocess: Any, planes: torch.Tensor, firsts: Sequence[int], noise: F32, offset: int
) -> tuple[F32, float]:
    """Normalised actions (windows, horizon, dim) of our engine, and seconds of encode and act together."""
    patches = preprocess_all(preprocess, planes, engine).to(engine.device, engine.plan.dtype)
    begun = time.perf_counter()
    tokens = torch.cat(
        [engine.run_encode(patches[at : at + engine.plan.frames]) for at in range(0, len(patches), engine.plan.frames)]
    )
    second = [min(first + offset, len(planes) - 1) for first in firsts]
    pairs = torch.cat([tokens[list(firsts)], tokens[second]], dim=1)
    actions: F32 = engine.run_act(pairs, torch.from_numpy(noise).to(engine.device)).float().cpu().numpy()
    return actions, time.perf_counter() - begun


def compare(what: str, ours: F32, theirs: F32, noise: F32, described: artifact.Description, bound: float) -> Difference:
    """See `Difference`."""
    moved = float(np.linalg.norm(theirs - noise))
    joints = described.robot.action.width
    units = np.abs(ours - theirs)[:, :, :joints] / 2 * (described.high - described.low)
    return Difference(what, float(np.linalg.norm(ours - theirs)) / moved, float(units.max()), bound)
