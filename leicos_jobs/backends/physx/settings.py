"""What a user can set for the replay in PhysX."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from leicos_jobs.backends.embedded_replay import EmbeddedSettings


class PhysxSettings(EmbeddedSettings):
    """The arm, and that its licence is accepted."""

    arm: str | None = Field(None, exclude=True)
    """USD layer of your own SO-101; unset: isaaclab-so101's. Its default prim is the arm: base fixed at the origin,
    fingers along +x, links named gripper and jaw, joints named as in the robot file, colliders on its meshes."""
    arm_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Digest of that layer, which is part of the samples' ids as the path is not. Layers that it refers to are yours to
    keep as they are."""
    accept_licence: bool = Field(False, exclude=True)
    """ovphysx and physx-usd-schemas are under LicenseRef-NVIDIA-Omniverse. Read it, then say true here or set
    LEICOS_ACCEPT_PHYSX_LICENCE=Y where the replay runs."""

    @model_validator(mode="after")
    def _named_and_digested(self) -> Self:
        if (self.arm is None) != (self.arm_sha256 is None):
            raise ValueError("arm and arm_sha256 go together: sha256sum FILE says the digest")
        return self
