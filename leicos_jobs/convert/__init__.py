"""Recordings to a LeRobot dataset: which demos, each demo's rows and videos, the dataset and its map back."""
