"""Tests on a real cluster: slow, and only where one can be had (see `harness`)."""
