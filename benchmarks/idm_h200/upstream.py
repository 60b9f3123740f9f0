"""GR00T-Dreams' dump script, timed, with the least changed to make it run: a copy in a scratch folder, changed as a
syntax tree (no line of it is kept here, and the checkout stays as it is).

Changes: robots that it does not know get `new_embodiment` instead of an error (the tutorial's patch); a line with the
time and the number and seconds of calls of the model is printed after each video; with `fixed` the batch size, which
the script overwrites with that of a video's last batch, is put back before each video; with `noise` the model's start
noise is ours.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import time
from pathlib import Path

HEADER = """
import time as _time, sys as _sys
_seen = {"calls": 0, "forward": 0.0}
def _count(model):
    import torch
    plain = model.get_action
    def timed(batch):
        torch.cuda.synchronize(); begun = _time.perf_counter()
        out = plain(batch)
        torch.cuda.synchronize()
        _seen["calls"] += 1; _seen["forward"] += _time.perf_counter() - begun
        return out
    model.get_action = timed
def _mark(tid):
    print("TIMED", tid, _time.time(), _seen["calls"], round(_seen["forward"], 3), flush=True)
    _seen.update(calls=0, forward=0.0)
"""
NOISE = """
def _ours(seeds):
    import sys, torch
    sys.path.insert(0, {root!r})
    from leicos_jobs.backends.gr00t_dreams.noise import window_noise
    state = {{"video": -1, "at": 0}}
    def draw(size=None, dtype=None, device=None):
        rows = window_noise(seeds[state["video"]], state["at"], size[0], size[1] * size[2])
        state["at"] += size[0]
        return torch.from_numpy(rows).view(tuple(size)).to(device)
    def following():
        state["video"] += 1; state["at"] = 0
    torch.randn = draw
    return following
"""


class _Change(ast.NodeTransformer):
    def __init__(self, fixed: bool, noise: list[int] | None) -> None:
        self.fixed, self.noise = fixed, noise

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if node.name == "load_dataset_and_config":
            for part in ast.walk(node):
                if isinstance(part, ast.If) and any(isinstance(line, ast.Raise) for line in part.orelse):
                    part.orelse = ast.parse("embodiment_tag = EmbodimentTag.NEW_EMBODIMENT").body
        if node.name == "worker_func":
            (loop,) = [line for line in node.body if isinstance(line, ast.For)]
            before = ["_kept = batch_size", "_count(model)"]
            if self.noise is not None:
                before.append(f"_following = _ours({self.noise!r})")
                loop.body[:0] = ast.parse("_following()").body
            if self.fixed:
                loop.body[:0] = ast.parse("batch_size = _kept").body
            loop.body += ast.parse("_mark(tid)").body
            at = node.body.index(loop)
            node.body[at:at] = ast.parse("\n".join(before)).body
        return node


def changed(checkout: Path, fixed: bool, noise: list[int] | None) -> str:
    """The script's text after the changes."""
    tree = ast.parse((checkout / "IDM_dump" / "dump_idm_actions.py").read_text())
    body = _Change(fixed, noise).visit(tree).body
    extra = HEADER + (NOISE.format(root=str(Path(__file__).resolve().parents[2])) if noise is not None else "")
    at = next(k for k, line in enumerate(body) if isinstance(line, ast.FunctionDef))
    body[at:at] = ast.parse(extra).body
    return ast.unparse(ast.fix_missing_locations(tree))


def dump(
    checkout: Path, scratch: Path, checkpoint: Path, dataset: Path, *, workers: int, fixed: bool = False,
    noise: list[int] | None = None, limit_s: float = 600,
) -> list[dict[str, float]]:  # fmt: skip
    """Run it with so101.sh's flags; per video: seconds since the one before, calls and seconds of the model.

    The first entry's seconds include start-up.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    script = scratch / "dump_changed.py"
    script.write_text(changed(checkout, fixed, noise))
    command = [
        sys.executable, str(script), "--checkpoint", str(checkpoint), "--dataset", str(dataset), "--output_dir",
        str(scratch / "so101.data_idm"), "--num_gpus", "1", "--video_indices", "0 16", "--num_workers", str(workers),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(checkout), os.environ.get("PYTHONPATH", "")])}
    begun, found = time.time(), []
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
    )
    last = begun
    for line in done.stdout.splitlines():
        if line.startswith("TIMED "):
            _, _, stamp, calls, forward = line.split()
            found.append({"seconds": float(stamp) - last, "calls": int(calls), "forward": float(forward)})
            last = float(stamp)
    if not found:
        raise SystemExit("upstream wrote nothing:\n" + (done.stdout + done.stderr)[-3000:])
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    print(changed(parser.parse_args().checkout, fixed=True, noise=[1]))
