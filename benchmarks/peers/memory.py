"""What a process and its children hold: memory of their own, memory of mapped files, disk."""

from __future__ import annotations

import contextlib
from pathlib import Path


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for number in found:
        for task in Path(f"/proc/{number}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def memory(pid: int) -> dict[str, int]:
    """Resident bytes: `anonymous` (what cannot be dropped) and `mapped` (pages of files, which the
    system may drop), summed over the process and its children."""
    anonymous = resident = 0
    for number in family(pid):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{number}/smaps_rollup").read_text()
            fields = dict(line.split(":", 1) for line in text.splitlines()[1:])
            anonymous += _bytes(fields["Anonymous"])
            resident += _bytes(fields["Rss"])
    return {"anonymous": anonymous, "mapped": resident - anonymous}


def peak(pid: int) -> int:
    """The largest resident size that the process has had, bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return _bytes(line.split(":", 1)[1])
    return 0


def disk(folder: Path) -> int:
    """Bytes that the files below the folder take up."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _bytes(text: str) -> int:
    return int(text.split()[0]) * 1024
