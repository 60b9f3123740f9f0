"""leicos: a handful of robot demonstrations in, thousands of correctly labelled synthetic ones out."""

__version__ = "0.1.0"
