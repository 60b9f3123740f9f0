"""File formats of others, read and written: LeIsaac HDF5, LeRobot v2.1 and v3.0, GR00T's additions, Cosmos's inputs.

A format module knows bytes and their meaning. It knows nothing of runs, samples or stages; what is wrong with a part of
a file (one demo of many) is a value with a reason, what is wrong with the whole is an InputError.
"""
