"""The Argo WorkflowTemplates of leicos, authored with Hera: one concept a module, plain functions.

Hera is an authoring tool only. What it renders is written to `leicos_jobs/manifests/` (read by `leicos run`) and, byte
for byte the same, to `helm/leicos/files/` (installed by the chart). No pod and no image contains Hera. This package may
import hera, `leicos_jobs.core` and, in its lint, `leicos_jobs.local`; it must not know stages, backends or stores.
"""
