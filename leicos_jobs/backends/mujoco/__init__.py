"""The embedded stand-in for Isaac Sim and Cosmos: SO-101 LiftCube in MuJoCo, rendered on the CPU.

It answers what the pipeline asks of a simulator (start exactly there, apply one target a control step, say whether the
task's rule held) and of a camera, with LeIsaac's numbers wherever they are known. It knows nothing of runs, samples
or stores. Importing this package is free; its modules import mujoco.
"""

import os

# Both are read once, when GL is loaded. EGL on Mesa's llvmpipe needs neither GPU nor display; OSMesa is leaving Mesa.
# One raster thread a process: the cost is in vertices, which llvmpipe does not spread, and processes share the cores.
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("LP_NUM_THREADS", "1")
# Two recordings of one seed once differed in one picture of some 12,000. x264's AVX-512 code does such a thing on this
# machine (see media/encode.py), so Mesa is kept from AVX-512 as well; it is no slower. Not proven to be the cause.
os.environ.setdefault("LP_NATIVE_VECTOR_WIDTH", "256")
