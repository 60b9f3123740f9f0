"""Video files: write, read, probe, verify, re-stamp, compare. It knows pixels and rates, nothing of robots or datasets.

Everything the product writes is H.264, yuv420p, constant rate, no B-frames, exact integer time stamps: decord (Cosmos,
GR00T-Dreams) cannot open AV1, and what a container says about itself is never believed without looking at the stream
(docs/decisions/leisaac.md 1.1).
"""
