"""Every shipped backend as what its stage takes it for: read by mypy, and compared with the entry points by a test."""

from __future__ import annotations

from typing import Any

from leicos_jobs.backends.base import Backend, Generator, Kind, Labeller, PostTrainer, Replayer, Trainer
from leicos_jobs.backends.compact.backend import CompactLabeller, CompactTrainer
from leicos_jobs.backends.cosmos import generator as cosmos
from leicos_jobs.backends.cosmos import post_train as cosmos_training
from leicos_jobs.backends.cosmos_predict25.generator import CosmosGenerator
from leicos_jobs.backends.cosmos_predict25.post_train import CosmosPostTrainer
from leicos_jobs.backends.echo import EchoGenerator
from leicos_jobs.backends.gr00t_dreams.backend import Gr00tDreamsLabeller, Gr00tDreamsTrainer
from leicos_jobs.backends.imported import ImportGenerator
from leicos_jobs.backends.isaac.replayer import IsaacReplayer
from leicos_jobs.backends.mujoco.generator import MujocoGenerator
from leicos_jobs.backends.mujoco.replayer import MujocoReplayer
from leicos_jobs.backends.panel import PanelReplayer
from leicos_jobs.backends.physx.replayer import PhysxReplayer

GENERATORS: tuple[type[Generator[Any]], ...] = (
    CosmosGenerator,
    EchoGenerator,
    ImportGenerator,
    MujocoGenerator,
    cosmos.CosmosGenerator,
)
POST_TRAINERS: tuple[type[PostTrainer[Any]], ...] = (cosmos_training.CosmosPostTrainer, CosmosPostTrainer)
TRAINERS: tuple[type[Trainer[Any]], ...] = (CompactTrainer, Gr00tDreamsTrainer)
LABELLERS: tuple[type[Labeller[Any]], ...] = (CompactLabeller, Gr00tDreamsLabeller)
REPLAYERS: tuple[type[Replayer[Any]], ...] = (IsaacReplayer, MujocoReplayer, PanelReplayer, PhysxReplayer)

SHIPPED: dict[Kind, tuple[type[Backend[Any]], ...]] = {
    "generate": GENERATORS,
    "post_train": POST_TRAINERS,
    "train": TRAINERS,
    "label": LABELLERS,
    "replay": REPLAYERS,
}
"""No critic is shipped."""
