"""Objects under one root, in a folder or in S3. It knows bytes and keys, nothing of runs, samples or videos."""

from leicos_jobs.store.base import KeyMissingError, Store, is_key
from leicos_jobs.store.uri import S3, open_object, open_store

__all__ = ["S3", "KeyMissingError", "Store", "is_key", "open_object", "open_store"]
