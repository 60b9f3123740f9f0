"""`compact`: our own small inverse dynamics model in PyTorch; trains in two minutes on two cores, or longer on a GPU.

Two parts. An encoder sees one frame and estimates the joint state and the commanded action. A temporal head sees a
window of those estimates and gives the action of its middle frame. `benchmarks/idm_compact.py` measures it.
"""
