"""Implementations of the heavy stages. A backend gets data and files in and gives files out: it knows no run, no
store and no layout, so that outsiders can write one against `contracts` alone."""
