"""For those who use a cluster: submit, look, submit again, be notified. It knows stages, runs, stores and
Kubernetes' API.

It must not know hera or how a workflow is built: a submission names an installed WorkflowTemplate. `kubernetes` is
imported only where the API is called, so that `leicos status` works in an image without it.
"""
