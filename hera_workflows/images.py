"""Which image a command runs in. Images are fixed when the manifests are rendered; they are not a workflow parameter.

The chart replaces them by the label `leicos.dev/image`, so a registry or a digest never has to be guessed from a name.
"""

from __future__ import annotations

from dataclasses import dataclass

from leicos_jobs.core.stages import Image

LABEL = "leicos.dev/image"
"""Pod label that names the kind of image, the key by which the chart replaces it."""


@dataclass(frozen=True)
class Images:
    """Where the images come from; `reference` gives the full name of one."""

    repository: str = "ghcr.io/leicos"
    tag: str = "0.1.0"
    pull_policy: str = "IfNotPresent"

    def reference(self, image: Image) -> str:
        """Full name of an image, e.g. ghcr.io/leicos/cosmos:0.1.0."""
        return f"{self.repository}/{image.value}:{self.tag}"
