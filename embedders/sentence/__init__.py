"""Models of sentence-transformers: text, CLIP-like and omni-modal ones, behind `Backend`."""
