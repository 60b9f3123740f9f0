"""The machinery under the stages: the worker and its child process, whole-stage commits, artifacts, sources."""
