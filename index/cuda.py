"""What the CUDA driver says of a GPU: name, compute capability, memory.

FAISS's Python side tells none of these, and a CUDA package for three numbers would be a large
dependency, so the driver's own library is asked through its C interface (CUDA Driver API).
"""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

LIBRARY = "libcuda.so.1"
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...


@dataclass(frozen=True)
class Facts:
    """name; capability: (major, minor), (9, 0) for Hopper; total: bytes of device memory."""

    name: str
    capability: tuple[int, int]
    total: int


class DriverError(Exception):
    """The driver refused a call."""


class Driver:
    """library: libcuda, loaded by ctypes. Device numbers are those that FAISS uses."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._contexts: dict[int, ctypes.c_void_p] = {}
        self._call("cuInit", ctypes.c_uint(0))

    def facts(self, number: int) -> Facts:
        """Raises DriverError, for a device that does not exist too."""
        device = self._device(number)
        name = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", name, ctypes.c_int(len(name)), device)
        total = ctypes.c_size_t()
        self._call("cuDeviceTotalMem_v2", ctypes.byref(total), device)
        return Facts(
            name=name.value.decode(errors="replace"),
            capability=(
                self._attribute(device, CAPABILITY_MAJOR),
                self._attribute(device, CAPABILITY_MINOR),
            ),
            total=total.value,
        )

    def free(self, number: int) -> int:
        """Bytes of device memory that nobody has taken. Raises DriverError."""
        device = self._device(number)
        with self._lock:
            context = self._contexts.get(number)
            if context is None:  # the one that FAISS uses too; kept, since it is costly to make
                context = ctypes.c_void_p()
                self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
                self._contexts[number] = context
        self._call("cuCtxPushCurrent_v2", context)
        try:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        finally:
            self._call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        return free.value

    def _device(self, number: int) -> ctypes.c_int:
        device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(number))
        return device

    def _attribute(self, device: ctypes.c_int, attribute: int) -> int:
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), device)
        return value.value

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise DriverError(f"{name} failed with CUDA error {code}")


@cache
def driver() -> Driver | None:
    """The driver of this machine, or None where there is none."""
    try:
        return Driver(ctypes.CDLL(LIBRARY))
    except (OSError, DriverError):
        return None
