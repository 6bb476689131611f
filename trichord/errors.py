"""Every error that Trichord raises on purpose.

    TrichordError                    base; has `reason` (UPPER_SNAKE) and `details` (str -> str)
    ├── InvalidInput                 the caller must change the request            (ValueError too)
    │   ├── MediaError               bytes that are not the image, sound or text they should be
    │   ├── VectorError              wrong length, not finite, zero, wrong dtype
    │   ├── FilterError              unknown field, wrong type, syntax
    │   └── PageTokenError           a page token that is damaged or belongs to another query
    ├── NotFound                     no such store, item, entity, space, segment   (LookupError too)
    ├── FrameMismatch                vectors of different frames were about to be compared
    ├── PermissionDenied             the principal may not do this, or the uri is not allowed
    ├── Unauthenticated              no or a wrong token
    ├── ResourceExhausted            queue, size or memory limit reached; may carry `retry_after_s`
    ├── Unavailable                  the server cannot be reached, or is draining
    ├── DeadlineExceeded             the answer did not come in time
    ├── StoreError                   the state of the store forbids the operation
    │   ├── StoreLocked              another writer holds the lease; may carry `retry_after_s`
    │   ├── StoreTooNew              written by a newer version of Trichord
    │   ├── StoreDamaged             a checksum or an invariant does not hold
    │   ├── StorageFull              the disk is full; what was committed before is intact
    │   └── EncoderMismatch          the store was written with an encoder that is not at hand
    ├── ModelError                   weights or a tokenizer are missing, damaged or false
    └── MissingExtra                 an optional dependency is not installed       (ImportError too)

Domain errors know nothing of gRPC; the server maps classes to status codes by one table, and the
client maps them back by `reason`, so that both sides raise the same classes.
"""

from __future__ import annotations


class TrichordError(Exception):
    """Base of all errors of this package; `str(error)` says what is wrong and what to do."""

    reason = "INTERNAL"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details: dict[str, str] = {
            key: str(value) for key, value in details.items() if value is not None
        }


class InvalidInput(TrichordError, ValueError):
    reason = "INVALID_INPUT"


class MediaError(InvalidInput):
    reason = "MEDIA"


class VectorError(InvalidInput):
    reason = "VECTOR"


class FilterError(InvalidInput):
    reason = "FILTER"


class PageTokenError(InvalidInput):
    reason = "PAGE_TOKEN"


class NotFound(TrichordError, LookupError):
    reason = "NOT_FOUND"


class FrameMismatch(TrichordError):
    reason = "FRAME_MISMATCH"


class PermissionDenied(TrichordError):
    reason = "PERMISSION_DENIED"


class Unauthenticated(TrichordError):
    reason = "UNAUTHENTICATED"


class ResourceExhausted(TrichordError):
    reason = "RESOURCE_EXHAUSTED"

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, **details: object
    ) -> None:
        super().__init__(message, **details)
        self.retry_after_s = retry_after_s


class Unavailable(TrichordError):
    reason = "UNAVAILABLE"


class DeadlineExceeded(TrichordError):
    reason = "DEADLINE_EXCEEDED"


class StoreError(TrichordError):
    reason = "STORE"


class StoreLocked(StoreError):
    reason = "STORE_LOCKED"
    retry_after_s: float | None = None


class StoreTooNew(StoreError):
    reason = "STORE_TOO_NEW"


class StoreDamaged(StoreError):
    reason = "STORE_DAMAGED"


class StorageFull(StoreError):
    reason = "STORAGE_FULL"


class EncoderMismatch(StoreError):
    reason = "ENCODER_MISMATCH"


class ModelError(TrichordError):
    reason = "MODEL"


class MissingExtra(TrichordError, ImportError):
    """An optional dependency is missing; the message carries the pip line that installs it."""

    reason = "MISSING_EXTRA"

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}: pip install 'trichord[{extra}]'", package=package
        )
