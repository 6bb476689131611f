"""Which version of each engine is installed, in either environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from benchmarks.peers.channel import PEERS
from benchmarks.peers.engines import ENGINES

_ASKED = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def installed(names: Sequence[str]) -> dict[str, str]:
    """Versions by package; those that are not installed are left out."""
    found: dict[str, str] = {}
    there: set[str] = set()
    for name in names:
        about = ENGINES[name]
        if about.environment == "peers":
            there.add(about.package)
            continue
        with suppress(PackageNotFoundError):
            found[about.package] = version(about.package)
    python = PEERS / "bin" / "python"
    if there and python.exists():
        done = subprocess.run(
            [python, "-c", _ASKED, *sorted(there)], capture_output=True, text=True, check=True
        )
        found |= json.loads(done.stdout)
    return found
