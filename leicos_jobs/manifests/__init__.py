"""The rendered Argo WorkflowTemplates, shipped with the wheel. Written by `python -m hera_workflows.render`."""
