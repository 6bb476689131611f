"""How good the answers are: golden sets, runs, measures with intervals, comparisons, gates.

Nothing is imported here: take what you need from the module that holds it. Reading a golden set or
a run needs polars only; measuring needs the extra `evaluation`.
"""
