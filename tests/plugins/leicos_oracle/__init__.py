"""A test-only IDM that knows the answer: it reads which image a frame shows, and looks up what the demos did there.

It works for every robot and source whose images are those of `helpers.leisaac.paint`, and can be told to be wrong in
one known way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from helpers.leisaac import read_code
from pydantic import BaseModel, ConfigDict

from leicos_jobs.backends.base import Labeller, Trainer
from leicos_jobs.backends.requests import LabelResult, TrainResult
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.media.decode import read_frames

Mistake = Literal[
    "none", "untrained", "shifted", "scrambled", "other joints", "generated scrambled", "generated swapped"
]


class OracleSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    mistake: Mistake = "none"


class Nothing(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OracleTrainer(Trainer[Nothing], name="oracle", version=1):
    def train(self, request) -> TrainResult:
        dataset, known = Dataset(request.dataset), {}
        for episode in dataset.episodes():
            codes = map(read_code, read_frames(episode.videos[request.camera]))
            known |= {str(code): row.tolist() for code, row in zip(codes, episode.actions, strict=True)}
        (request.out / "artifact.json").write_text(json.dumps(known))
        return TrainResult()


class OracleLabeller(Labeller[OracleSettings], name="oracle", version=1):
    def __init__(self, settings: OracleSettings, artifact: Path, work: Path) -> None:
        super().__init__(settings, artifact, work)
        self.known = json.loads((artifact / "artifact.json").read_text())

    def process(self, requests, started) -> Iterator[LabelResult]:
        for request in requests:
            started(request.sample)
            codes, mistake = list(map(read_code, read_frames(request.video))), self.settings.mistake
            if mistake.startswith("generated"):  # real videos have their episode's number for a name
                mistake = "none" if request.sample.isdecimal() else mistake.removeprefix("generated ")
            if mistake == "swapped":  # labels of another demo
                codes = [((demo + 1) % 4, image) for demo, image in codes]
            actions = np.array([self.known[str(code)] for code in codes], np.float32)
            yield LabelResult(request.sample, self.spoil(actions, mistake))

    def spoil(self, actions: np.ndarray, mistake: str) -> np.ndarray:
        match mistake:
            case "untrained":  # what a network says before it has learned anything
                return np.repeat(np.mean(list(self.known.values()), axis=0, dtype=np.float32)[None], len(actions), 0)
            case "shifted":
                return np.concatenate([actions[3:], np.repeat(actions[-1:], 3, axis=0)])
            case "scrambled":
                return actions[np.random.default_rng(0).permutation(len(actions))]
            case "other joints":
                return np.ascontiguousarray(np.roll(actions, 1, axis=1))
        return actions


class LookupTrainer(Trainer[Nothing], name="lookup", version=1):
    """Keeps every frame of every demo with its action: for pictures that a simulator drew."""

    def train(self, request) -> TrainResult:
        frames, actions = [], []
        for episode in Dataset(request.dataset).episodes():
            frames += [frame.ravel() for frame in read_frames(episode.videos[request.camera])]
            actions.append(episode.actions)
        np.savez(request.out / "known.npz", frames=np.array(frames), actions=np.concatenate(actions))
        (request.out / "artifact.json").write_text("{}")
        return TrainResult()


class LookupLabeller(OracleLabeller, name="lookup", version=1):
    """The action of the frame that looks most alike."""

    def __init__(self, settings: OracleSettings, artifact: Path, work: Path) -> None:
        super().__init__(settings, artifact, work)
        with np.load(artifact / "known.npz") as table:
            self.frames, actions = table["frames"].astype(np.float32), table["actions"]
        self.known = dict(enumerate(actions))

    def process(self, requests, started) -> Iterator[LabelResult]:
        squares = (self.frames**2).sum(axis=1)
        for request in requests:
            started(request.sample)
            seen = np.array([frame.ravel() for frame in read_frames(request.video)], np.float32)
            nearest = (squares - 2 * seen @ self.frames.T).argmin(axis=1)
            actions = np.array([self.known[row] for row in nearest.tolist()], np.float32)
            yield LabelResult(request.sample, self.spoil(actions, self.settings.mistake))
