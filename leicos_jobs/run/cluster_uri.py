"""Which runs pods can work on: the one rule for `leicos submit` and for the first pod of a workflow."""

from __future__ import annotations

import re

from leicos_jobs.core.errors import InputError
from leicos_jobs.store import S3, open_store

FORM = "write s3://bucket/folder/run-id"
UNFIT = re.compile(r"""["'`]|\{\{|\}\}""")
"""What S3 would take and a workflow would not: quotes, which end up in shells and YAML, and the braces of Argo's
references, which it replaces."""


def cluster_uri(uri: str) -> str:
    """The run's URI as its store writes it, if pods can use it. Raises InputError."""
    if not uri.startswith(S3):
        raise InputError(
            f"run {uri!r}: pods cannot reach a folder of one machine",
            fix=f"{FORM}, or use `leicos run` to work here",
        )
    if unfit := UNFIT.search(uri):
        raise InputError(f"run {uri!r}: {unfit.group()!r} cannot be part of a run's URI on a cluster", fix=FORM)
    return open_store(uri).uri
