"""One run under one root: its configuration, every path in it, samples, plan, commits, failures and status.

It knows stores and formats, but no backend: identity and commits are the product and must not depend on who computes.
"""
