"""generate/cosmos-predict2.5: NVIDIA's video model, driven through its own Python environment.

Upstream is Cosmos-Predict2.5 at commit 7e5ffc83 (2026-03-02). leicos never imports it: its environment has another
Python and other libraries. Nothing outside this package knows its formats but `leicos_jobs.formats.cosmos`.
"""
