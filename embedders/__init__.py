"""Content to vectors: media decoding, one folder or file per model family, joint spaces.

Nothing heavy is imported here; `trichord.embedders.spaces.open_space` imports the one it needs.
"""
