"""A real Kubernetes with a real Argo and a real S3 for the tests, on one small machine.

It knows nothing of leicos: tests bring images and manifests. `Cluster` is the whole
of it for a test; `python -m tests.cluster.harness up` keeps one running between
tests while developing. Nothing of Argo is fetched or built here: see `check`.

Environment:
LEICOS_ARGO_BIN           folder with Argo's programs and definitions (default ~/.cache/leicos/argo)
LEICOS_CACHE_DIR          everything that is kept between runs (default ~/.cache/leicos)
LEICOS_TEST_KUBECONFIG    a cluster with Argo elsewhere, say kind's, instead of one started here; then also
LEICOS_TEST_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY, _BUCKET    a bucket that its pods and this machine reach
LEICOS_TEST_LOAD_IMAGE    the command that brings it an OCI archive, say `kind load image-archive`
LEICOS_TEST_BASE_IMAGE    an image with Python to build on, instead of a Debian made here by debootstrap
"""

from .cluster import Cluster, missing
from .object_store import ObjectStore
from .processes import HarnessError

__all__ = ["Cluster", "HarnessError", "ObjectStore", "missing"]
