"""Replay in PhysX, the engine of Isaac Sim, as NVIDIA's library `ovphysx` has it: on a CPU, without Isaac Sim.

It answers what `leicos_jobs.backends.mujoco` answers, in the same frames and with the same rule, so that a label can be
judged by two engines. Importing this package is free; `library` imports ovphysx.
"""
