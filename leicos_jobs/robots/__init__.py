"""Robots as data: joints, limits, units, cameras. From one definition come every file an upstream wants."""
