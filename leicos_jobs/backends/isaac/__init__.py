"""replay/isaac-sim: LeIsaac's own task in Isaac Sim, in a process of its own that a watchdog outside it looks after.

Upstream is LeIsaac at commit 24d3bcd (0.4.0, 2026-04-15) on Isaac Lab 2.3.0 and Isaac Sim 5.1. leicos never imports
them: they live in Isaac's Python, which runs the package under `standalone/`.
"""
