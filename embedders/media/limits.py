"""How large one piece of content may be, and how damaged, before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on one input; what goes beyond one is a `MediaError` that names it.

    `max_bytes` counts the encoded file; the others count what comes out of it, which a small file
    can blow up: `max_pixels` is checked against the header before anything is decoded,
    `max_audio_seconds` while decoding (headers of sound lie).

    `max_nonfinite_share`: up to this share of a sound's samples may be NaN or infinite and is
    replaced by zero; `max_overshoot_share`: up to this share may lie beyond full scale and is
    clipped. A sound beyond either is refused, because it is broken or in another unit.

    `accept_truncated_audio`: a sound that breaks off (a cut download, a damaged frame) is taken
    up to the break; False refuses it.
    """

    max_bytes: int = 512 * 1024 * 1024
    max_pixels: int = 64_000_000
    max_audio_seconds: float = 6 * 3600.0
    max_audio_channels: int = 32
    max_text_chars: int = 10_000_000
    max_nonfinite_share: float = 0.001
    max_overshoot_share: float = 0.1
    accept_truncated_audio: bool = True


DEFAULT_LIMITS = Limits()
