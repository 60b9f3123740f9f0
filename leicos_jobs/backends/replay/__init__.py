"""Replayers: start state and actions in, success and metrics out. They never see a video or a truth."""
