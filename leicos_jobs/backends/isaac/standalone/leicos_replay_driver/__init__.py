"""Replays episodes in an environment and writes down what happened. numpy and the standard library only, but for
`leisaac_env`, which is LeIsaac's side of the interface."""
