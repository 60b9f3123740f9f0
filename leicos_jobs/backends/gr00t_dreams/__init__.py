"""`gr00t-dreams`: NVIDIA GR00T-Dreams' inverse dynamics model, trained by its own script and run by our engine.

Training is upstream's `scripts/idm_training.py` in a process of its own; nothing of a checkout is edited. Inference is
ours: it loads upstream's weights and computes upstream's function, organised for the machine (`engine`, `stream`).
Upstream is read at commit ec3881d (`settings.UPSTREAM`); `verify` compares the two on a user's own checkpoint.

Modules named in entry points (`backend`) import no torch: planning pods read only names, versions and settings.
"""
