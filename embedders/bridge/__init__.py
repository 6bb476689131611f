"""Bridges: projectors that carry vectors of one frame into another, fitted on captions alone.

    projector.Projector    applies and stores one (numpy only)
    fitting.fit            makes one from the two frames' vectors of the same captions
    captions               the captions: our own, or a user's file
    proof                  what a bridge reaches, measured (`python -m` runs it)

docs/bridging.md says how it works, what it reaches and what it cannot do.
"""
