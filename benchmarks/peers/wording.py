"""Messages of engines as they may stand in a table."""

from __future__ import annotations

import re

LONGEST = 200


def one_line(text: str) -> str:
    """The first line that says something, without addresses and paths of the machine.

    >>> one_line("no such file: /home/somebody/index.bin, line 3\\nmore")
    'no such file: … line 3'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    bare = re.sub(r"(?<!\w)(\w+:/)?/[\w.~@-]+(/\S*)?", "…", lines[0] if lines else "")
    return re.sub(r"(…\s*)+", "… ", bare).strip()[:LONGEST]
