"""`compact`: our own small inverse dynamics model in PyTorch; trains in two minutes on two cores, or longer on a GPU.

Two parts. An encoder sees one frame and estimates the joint state and the commanded action; while it is trained, the
robot's geometry tells it where in the picture the robot's parts are (`guide`), through a camera found from the
demonstrations (`camera`). A temporal head sees a window of estimates and gives the action of its middle frame.
`benchmarks/idm_compact.py` measures what comes of it.
"""

import os

# Read once, when PyTorch loads libgomp. Its threads otherwise spin while they wait for each other; on cores shared
# with other pods the one that does the work is then kept waiting, and training takes five times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
