"""Trichord beside its peers on the same rows in one run: `python -m benchmarks.peers --help`.

A coordinator speaks with one worker process per engine by lines of JSON; rows are shared as .npy
files. Nothing here that a worker imports needs more than numpy and the engine itself, for the
peers run in an environment of their own (`scripts/peers`).
"""
