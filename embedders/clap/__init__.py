"""LAION-CLAP: sound and text in one frame, from transformers' checkpoints, LAION's `.pt` files or
the laion-clap package."""
