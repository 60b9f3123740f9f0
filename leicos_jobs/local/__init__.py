"""Runs the rendered Argo manifest on this machine: every pod's command becomes a local process.

It is for one machine only: those who outgrow it use the cluster. What it does, it does as Argo 4.1 does (nodes, phases,
attempts and outputs are compared with the real controller in tests/local/conformance); what it does not implement is an
error that names the field, except the closed list in `ignored`.
It must not know Hera, stages or stores: it sees manifests, processes and files.
"""

from leicos_jobs.local.results import Node, NodeEvent, WorkflowResult
from leicos_jobs.local.runner import INTERRUPTED, run_workflow
from leicos_jobs.local.shipped import shipped_manifests

__all__ = ["INTERRUPTED", "Node", "NodeEvent", "WorkflowResult", "run_workflow", "shipped_manifests"]
