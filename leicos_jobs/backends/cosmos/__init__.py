"""generate/cosmos: NVIDIA's video models on Hugging Face diffusers, in leicos' own process.

The family is Predict2.5; its shapes and key names were read from diffusers 0.42 and compared with what
docs/decisions/cosmos.md says of upstream. `size: tiny` is the same code with small random weights, for the CPU.
"""
