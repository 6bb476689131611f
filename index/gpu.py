"""A GPU for FAISS: whether one is there and works, how much fits, and the empty indexes it makes.

Three things that FAISS leaves to its caller are done here:
- When CUDA fails (a kernel that was not built for this device, a broken driver), FAISS does not
  raise, it aborts the process. So the first contact is a trial in a process of its own.
- A set of GPU resources serves one thread at a time, searches included. A lock guards it, and
  every index gets a set of its own.
- cuVS, which most GPU indexes can run on and CAGRA needs, is switched on by a flag of every single
  index, and ignored on devices before compute capability 7.0. It is always set on purpose.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from trichord.index._faiss import faiss
from trichord.index.cuda import DriverError, Facts, driver

CLASSIC_LIMIT = 2048
"""Most neighbours and most probed lists per query of FAISS's own kernels; more raises."""
CUVS_LIMIT = 16384
CUVS_CAPABILITY = (7, 0)
SCRATCH = 1 << 29
"""Bytes of device memory for temporary results, per set of resources. FAISS would take three times
as many; what does not fit is allocated when it is needed."""
MARGIN = 1.1
TRIAL_SECONDS = 120.0

TRIAL = """
import sys
sys.path[:] = {path!r}
from trichord.index.trial import main
main({number})
"""


Report = dict[str, dict[str, bool]]
"""Kind of index -> {"right": ..., "selector": whether it heeds selectors}, from the trial."""


class NoGpu(Exception):
    """Why a GPU is not used, in words for people: the CPU answers instead. Never gets out of
    this package."""


class Gpu:
    """One device with its resources; `open_gpu` gives it. Makes empty, untrained FAISS indexes,
    which must be used within `use`."""

    def __init__(self, number: int, facts: Facts | None) -> None:
        self.number = number
        self.facts = facts
        self.name = facts.name if facts else f"GPU {number}"
        self.cuvs = bool(
            hasattr(faiss, "GpuIndexCagra") and facts and facts.capability >= CUVS_CAPABILITY
        )
        self.flat_limit = CLASSIC_LIMIT
        self.lists_limit = CUVS_LIMIT if self.cuvs else CLASSIC_LIMIT
        self.report: Report = {}
        self.resources = faiss.StandardGpuResources()
        self.resources.setTempMemory(SCRATCH)
        self.resources.setPinnedMemory(0)  # 256 MiB of the host's, for batches of 256 MiB only
        self._lock = threading.Lock()

    @classmethod
    def bare(cls, number: int) -> Gpu:
        """The device without a trial: for the trial itself, whose process may die of it."""
        return cls(number, _facts(number))

    def apart(self) -> Gpu:
        """The same device with resources and a lock of its own: for an index that is searched, or
        built, at the same time as others."""
        other = Gpu(self.number, self.facts)
        other.report = self.report
        return other

    @contextmanager
    def use(self, what: str) -> Iterator[None]:
        """Alone with the device. Raises NoGpu if FAISS fails: out of memory, most likely."""
        with self._lock:
            try:
                yield
            except (RuntimeError, MemoryError) as error:
                raise NoGpu(f"{what} failed on {self.name}: {_cause(error)}") from error

    def free(self) -> int | None:
        """Bytes free on the device, other processes' use counted; None if the driver is silent."""
        found = driver()
        try:
            return None if found is None else found.free(self.number)
        except DriverError:
            return None

    def require(self, needed: int, what: str) -> None:
        """Raises NoGpu unless `needed` bytes fit beside FAISS's scratch memory."""
        free = self.free()
        if free is not None and MARGIN * needed + SCRATCH > free:
            raise NoGpu(
                f"{what} needs {_gib(needed)} and {_gib(SCRATCH)} of scratch on {self.name}, "
                f"where {_gib(free)} are free"
            )

    def flat(self, dim: int, *, half: bool) -> Any:
        """Inner products, all rows. half: rows are kept in 16 bits.

        Never on cuVS: what FAISS's own product does to the last bits is known (no TF32).
        """
        config = faiss.GpuIndexFlatConfig()
        config.device, config.use_cuvs, config.useFloat16 = self.number, False, half
        return faiss.GpuIndexFlat(self.resources, dim, faiss.METRIC_INNER_PRODUCT, config)

    def coarse(self, dim: int) -> Any:
        """Euclidean distances: for k-means, and to find the lists of rows."""
        config = faiss.GpuIndexFlatConfig()
        config.device, config.use_cuvs = self.number, False
        return faiss.GpuIndexFlat(self.resources, dim, faiss.METRIC_L2, config)

    def ivf_flat(self, dim: int, lists: int) -> Any:
        config = faiss.GpuIndexIVFFlatConfig()
        config.device, config.use_cuvs = self.number, self.cuvs
        return faiss.GpuIndexIVFFlat(self.resources, dim, lists, faiss.METRIC_L2, config)

    def ivf_pq(self, dim: int, lists: int, subspaces: int) -> Any:
        """4-bit codes: their tables fit the shared memory of a block at any dimension, 8-bit ones
        of this many subspaces do not."""
        config = faiss.GpuIndexIVFPQConfig()
        config.device, config.use_cuvs = self.number, self.cuvs
        config.interleavedLayout = True  # without it only 8-bit codes
        return faiss.GpuIndexIVFPQ(
            self.resources, dim, lists, subspaces, 4, faiss.METRIC_L2, config
        )

    def cagra(self, dim: int, degree: int) -> Any:
        if not self.cuvs:
            raise NoGpu(f"CAGRA needs FAISS with cuVS and a newer device than {self.name}")
        config = faiss.GpuIndexCagraConfig()
        config.device, config.use_cuvs = self.number, True
        config.graph_degree, config.intermediate_graph_degree = degree, 2 * degree
        return faiss.GpuIndexCagra(self.resources, dim, faiss.METRIC_L2, config)

    def probing(self, lists: int) -> Any:
        return faiss.SearchParametersIVF(nprobe=lists)

    def beam(self, width: int) -> Any:
        return faiss.SearchParametersCagra(itopk_size=width)


@cache
def _open(number: int) -> Gpu | str:
    if not hasattr(faiss, "StandardGpuResources"):
        return "this FAISS is built for the CPU: pip install 'trichord[gpu]' or '[gpu-cuvs]'"
    count = faiss.get_num_gpus()
    if number >= count:
        return f"there is no GPU {number}: FAISS finds {count}"
    try:
        report = trial(number)
    except NoGpu as why:
        return str(why)
    gpu = Gpu(number, _facts(number))
    gpu.report = report
    return gpu


_opening = threading.Lock()


def open_gpu(number: int = 0) -> Gpu:
    """The device with this number, tried out once per process. Raises NoGpu."""
    with _opening:
        found = _open(number)
    if isinstance(found, str):
        raise NoGpu(found)
    return found


def trial(number: int, code: str = TRIAL, seconds: float = TRIAL_SECONDS) -> Report:
    """Small indexes of every kind, built and searched in another process: per kind whether its
    answers are right and whether it heeds selectors. Raises NoGpu if any is wrong or it dies."""
    command = [sys.executable, "-c", code.format(path=sys.path, number=number)]
    what = f"GPU {number} did not pass its trial"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise NoGpu(f"{what}: no answer within {seconds:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise NoGpu(f"{what}: exit code {done.returncode}, {last[-300:]}")
    try:
        # Libraries write lines of their own.
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        report: Report = json.loads(lines[-1])
        wrong = [kind for kind, facts in report.items() if not facts["right"]]
    except (IndexError, KeyError, TypeError, ValueError, AttributeError):
        raise NoGpu(f"{what}: it gave no report") from None
    if wrong or not report:
        raise NoGpu(f"{what}: wrong answers from {', '.join(wrong) or 'everything'}")
    return report


def _facts(number: int) -> Facts | None:
    found = driver()
    try:
        return None if found is None else found.facts(number)
    except DriverError:
        return None


def _cause(error: BaseException) -> str:
    text = str(error).split("Error: ")[-1].strip()  # without the C++ signature before it
    return text.splitlines()[0][:300] if text else type(error).__name__


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
