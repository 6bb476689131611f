"""Pictures as the image tower wants them: open_clip's own geometry, in threads, ahead of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from trichord.errors import MediaError
from trichord.types import Rgb

LONGEST = 16
"""A picture that is more than so many times longer than wide is first cut to its middle: the
transform would blow it up to that factor times the tower's size before it cuts the same middle."""


class Preprocess:
    """open_clip's transform for inference, split: the geometry for one picture, the colours for a
    whole batch on the tower's device."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        size = settings["size"]
        whole = image_transform_v2(
            PreprocessCfg(**{**settings, "size": tuple(size)}), is_train=False
        )
        # The last two are ToTensor and Normalize.
        self._geometry = whole.transforms[:-2]
        self._shape = (int(size[0]), int(size[1]), 3)
        self._cuts = settings["resize_mode"] == "shortest"
        self._mean = torch.tensor(settings["mean"], dtype=torch.float32).view(1, 3, 1, 1)
        self._std = torch.tensor(settings["std"], dtype=torch.float32).view(1, 3, 1, 1)

    def picture(self, item: object) -> Rgb:
        """uint8 (h, w, 3) of any size -> uint8 of the tower's size. Raises MediaError."""
        array = np.asarray(item)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
            raise MediaError(
                f"a picture must be uint8 (height, width, 3), not {array.dtype} {array.shape}"
            )
        if self._cuts:
            array = _middle(array)
        picture = Image.fromarray(array)
        try:
            for step in self._geometry:
                picture = step(picture)
        except ValueError as error:
            height, width = array.shape[:2]
            raise MediaError(
                f"a picture of {width} x {height} pixels is too narrow: {error}"
            ) from error
        found: Rgb = np.asarray(picture)
        assert found.shape == self._shape, found.shape
        return found

    def tensor(self, pictures: Sequence[Rgb], device: torch.device) -> torch.Tensor:
        """uint8 pictures of the tower's size -> float32 (n, 3, height, width)."""
        bytes_ = torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2)
        found = bytes_.to(torch.float32, memory_format=torch.contiguous_format)
        mean, std = self._mean.to(device), self._std.to(device)
        return found.div_(255).sub_(mean).div_(std)


def _middle(array: Rgb) -> Rgb:
    height, width = array.shape[:2]
    long, most = max(height, width), LONGEST * min(height, width)
    if long <= most:
        return array
    start = (long - most) // 2
    cut = array[start : start + most] if height > width else array[:, start : start + most]
    return np.ascontiguousarray(cut)


class Ahead:
    """Preprocesses items in threads, at most `ahead` beyond those that were asked for.

    Items are asked for in order, some perhaps twice (a batch that did not fit). Few items are
    done when they are asked for, in the caller's thread.
    """

    def __init__(self, preprocess: Preprocess, items: Sequence[object], ahead: int) -> None:
        self._preprocess, self._items, self._ahead = preprocess, items, ahead
        self._ready: dict[int, Future[Rgb]] = {}
        self._next = 0
        workers = min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers) if len(items) > 2 else None

    def __enter__(self) -> Self:
        self._submit(self._ahead)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def take(self, first: int, end: int) -> list[Rgb | MediaError]:
        """The pictures first..end, or the error of each."""
        for old in [index for index in self._ready if index < first]:
            del self._ready[old]
        self._submit(end + self._ahead)
        return [self._one(index) for index in range(first, end)]

    def _one(self, index: int) -> Rgb | MediaError:
        try:
            if self._pool is None:
                return self._preprocess.picture(self._items[index])
            return self._ready[index].result()
        except MediaError as error:
            return error

    def _submit(self, end: int) -> None:
        if self._pool is None:
            return
        while self._next < min(end, len(self._items)):
            item = self._items[self._next]
            self._ready[self._next] = self._pool.submit(self._preprocess.picture, item)
            self._next += 1
