"""Labelling: a video in, one action a frame out; and the metrics that labels are judged by."""
