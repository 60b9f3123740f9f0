"""The tasks that leicos ships, one YAML each. Beside tests, names of tasks stand here alone."""

DEFAULT = "lift-cube"
"""The task where nothing names another one."""
