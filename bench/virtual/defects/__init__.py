"""Seeded defects: what is wrong in a virtual device of choice, laid over the healthy one from outside.

One file an area; `registry.DEFECTS` has all of them. Healthy code knows nothing of them.
"""
