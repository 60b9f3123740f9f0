"""The robots that leicos ships, one YAML each. Beside tests and simulators, names of robots stand here alone."""

DEFAULT = "so101"
"""The robot of a recording that does not fit another one better."""
