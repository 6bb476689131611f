"""Which sounds CLAP may see: mono, at its own rate, finite, audible, at most one window long."""

from __future__ import annotations

import numpy as np

from trichord.embedders.media.audio import is_silent
from trichord.errors import MediaError
from trichord.types import F32, Waveform


def checked(item: object, rate: int, window_ms: int) -> F32:
    """The samples, float32 (n,), n at least 1 and at most window_ms * rate // 1000.

    Longer sound is refused, not cropped: CLAP's own preprocessing crops it at random, so that the
    same sound has another vector each time. Raises MediaError for anything else as well: another
    type, shape or rate, no samples, samples that are not finite, silence (below -100 dB).
    """
    if not isinstance(item, Waveform):
        raise MediaError(f"a sound must be a Waveform, not {type(item).__name__}")
    if item.rate != rate:
        raise MediaError(
            f"the sound has {item.rate} Hz, this model hears {rate} Hz: resample it first",
            rate=item.rate,
        )
    samples = np.asarray(item.samples)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise MediaError(
            f"a sound must be mono floats (n,) in [-1, 1], not {samples.dtype} {samples.shape}"
        )
    samples = samples.astype(np.float32)
    if samples.size == 0:
        raise MediaError("the sound is empty")
    if not np.isfinite(samples).all():
        raise MediaError("the sound has samples that are not finite")
    if samples.size > window_ms * rate // 1000:
        raise MediaError(
            f"the sound lasts {samples.size / rate:.3f} s, longer than a window of "
            f"{window_ms / 1000:g} s: cut it into windows first"
        )
    if is_silent(samples):
        raise MediaError("the sound is silent", problem="silent")
    return samples
