"""A real Kubernetes with a real Argo and a real S3 for the tests, on one small machine.

It knows nothing of leicos: tests bring images and manifests. `Cluster` is the whole
of it for a test; `python -m tests.cluster.harness up` keeps one running between
tests while developing. Nothing of Argo is fetched or built here: see `check`.
"""

from .cluster import Cluster, missing
from .object_store import ObjectStore
from .processes import HarnessError

__all__ = ["Cluster", "HarnessError", "ObjectStore", "missing"]
