"""Bytes -> canonical content: pictures, sound and text that every embedder can take as they are.

    sniff      what the bytes are, by their magic
    limits     how large content may be
    image      bytes -> sRGB array
    native     audio file -> clean blocks at the file's own rate and channels
    audio      -> mono blocks at one rate, in bounded memory
    windows    -> deterministic windows with milliseconds
    text       bytes -> clean str
    timed      SRT and WebVTT -> str and cues
    chunks     str -> overlapping pieces by tokens; passages of timed text
    pieces     all of it behind one call

Nothing is imported here: take what you need from the module that holds it.
"""
