"""What is asked of every engine."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.peers.rows import Where

PLAIN, MIXED = "plain", "mixed"
"""The data sets: rows of one modality, and of three in equal parts in one collection."""


@dataclass(frozen=True)
class Workload:
    """Searches over one data set: `asked` names the file of queries, `where` what may be found."""

    name: str
    label: str
    data: str
    asked: str
    where: Where | None = None


IMAGES = Where("kind", "=", "image")
WORKLOADS = (
    Workload("unfiltered", "unfiltered", PLAIN, "image"),
    Workload("half", "filter, 50 % pass", PLAIN, "image", Where("part", "<", 500)),
    Workload("twentieth", "filter, 5 % pass", PLAIN, "image", Where("part", "<", 50)),
    Workload("thousandth", "filter, 0.1 % pass", PLAIN, "image", Where("part", "<", 1)),
    Workload("anything", "all modalities: image to anything", MIXED, "image"),
    Workload("modality", "by modality: image to image", MIXED, "image", IMAGES),
    Workload("cross", "cross-modal: text to image", MIXED, "text", IMAGES),
)
BY_NAME = {workload.name: workload for workload in WORKLOADS}
