"""`duet`: a small model of texts and sounds in one frame of its own, the offline stand-in for CLAP.

Its text encoder, audio encoder, captions and seeds are its own: it shares no weights and no text
model with the pocket space, and has another dimension. `duet.backend.Duet` is the model family;
`python -m trichord.embedders.duet.train` makes the weights. docs/bridging.md says what it is for.
"""
