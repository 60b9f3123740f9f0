"""What can be wrong with a video, as a closed list of words a caller can act on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from leicos_jobs.core.errors import InputError

Fault = Literal["missing", "unreadable", "no-video", "truncated", "frames", "fps", "size", "codec", "pix-fmt"]


class VideoError(InputError):
    """A video that is not what it must be; `fault` names which check failed, `path` the file."""

    code = "video"

    def __init__(self, path: Path, fault: Fault, message: str, *, fix: str | None = "write it again") -> None:
        super().__init__(f"{path}: {message}", fix=fix)
        self.path = path
        self.fault: Fault = fault

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the real arguments: these errors cross process pools."""
        return _rebuild, (self.path, self.fault, self.message, self.fix)


def _rebuild(path: Path, fault: Fault, message: str, fix: str | None) -> VideoError:
    return VideoError(path, fault, message.removeprefix(f"{path}: "), fix=fix)
