"""Objects in S3, or in a server that speaks it: docs/storage.md says what each provider needs."""

from leicos_jobs.store.s3.store import S3Store

__all__ = ["S3Store"]
