"""`compact`: our own small inverse dynamics model in PyTorch; trains in two minutes on two cores, or longer on a GPU.

Two parts. An encoder sees one frame and estimates the joint state and the commanded action; while it is trained, the
robot's geometry tells it where in the picture the robot's parts are (`guide`), through a camera found from the
demonstrations (`camera`). A temporal head sees a window of estimates and gives the action of its middle frame.
`benchmarks/idm_compact.py` measures what comes of it.
"""

import os

# Read by torch and OpenMP when they are loaded, so they are set before anything here imports them. AVX2 everywhere: an
# AVX-512 machine would sum in another order, and the same training must end in the same bytes. Threads that sleep
# instead of spin: beside other work, two spinning threads take five times as long for the same result.
for _name, _value in (
    ("ATEN_CPU_CAPABILITY", "avx2"),
    ("ONEDNN_MAX_CPU_ISA", "AVX2"),
    ("OMP_WAIT_POLICY", "passive"),
):
    os.environ.setdefault(_name, _value)
