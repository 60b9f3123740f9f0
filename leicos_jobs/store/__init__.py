"""Objects under one root, in a folder or in S3. It knows bytes and keys, nothing of runs, samples or videos."""

from leicos_jobs.store.base import KeyMissingError, Store
from leicos_jobs.store.uri import open_store

__all__ = ["KeyMissingError", "Store", "open_store"]
