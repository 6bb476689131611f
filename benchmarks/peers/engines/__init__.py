"""Which engines there are: what is said of each in the tables, and where its adapter is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

NUMBERS = "number, score"
STRINGS = "string id, score, market, year"
LOCKED = (
    "searches and writes at once are not safe: they take turns by a lock of ours, which an insert "
    "holds from begin to end"
)


@dataclass(frozen=True)
class About:
    """One engine. `module` holds the class `Adapter`, made with `options`.

    `environment` is "main" (that of Trichord) or "peers". `answers` is what a search returns;
    `filters` its facility for filters, empty where it has none. `shares` names the engine whose
    files it serves. `kept`: whether another process can open what one has built. `mixed`: whether
    it takes part in the second data set, of three modalities. `fixed`: its effort is not set for a
    search, so that filtered ones have that of the others as long as it reaches the recall. `heavy`:
    it builds for so long that it stays out of the second data set where the run is late.
    """

    name: str
    label: str
    module: str
    package: str
    answers: str
    filters: str = ""
    environment: Literal["main", "peers"] = "main"
    options: Mapping[str, Any] = field(default_factory=dict)
    shares: str = ""
    kept: bool = True
    mixed: bool = True
    fixed: bool = False
    heavy: bool = False
    note: str = ""


BASELINE = "faiss-ivf-flat"
ENGINES = {
    about.name: about
    for about in (
        About(
            BASELINE,
            "FAISS IVF1024,Flat (baseline)",
            "faiss_ivf_flat",
            "faiss-cpu",
            NUMBERS,
            "a bitmap selector, made by us from columns in memory",
            note=LOCKED,
        ),
        About(
            "trichord",
            "Trichord",
            "trichord_catalog",
            "trichord",
            STRINGS,
            "expression",
            note="the kind of index that it chooses by itself",
        ),
        About(
            "trichord-ivf",
            "Trichord, IVF asked for",
            "trichord_catalog",
            "trichord",
            STRINGS,
            "expression",
            options={"kind": "ivf"},
            mixed=False,
        ),
        About(
            "trichord-grpc",
            "Trichord over gRPC",
            "trichord_grpc",
            "trichord",
            STRINGS,
            "expression",
            shares="trichord",
            note="client and server share the cores; memory is that of both processes",
        ),
        About(
            "lancedb-ivf-pq",
            "LanceDB IVF_PQ",
            "lancedb_index",
            "lancedb",
            STRINGS,
            "SQL before the search, with a scalar index",
            options={"kind": "IVF_PQ"},
            mixed=False,
        ),
        About(
            "lancedb-ivf-flat",
            "LanceDB IVF_FLAT",
            "lancedb_index",
            "lancedb",
            STRINGS,
            "SQL before the search, with a scalar index",
            options={"kind": "IVF_FLAT"},
        ),
        About(
            "lancedb-hnsw-sq",
            "LanceDB IVF_HNSW_SQ",
            "lancedb_index",
            "lancedb",
            STRINGS,
            "SQL before the search, with a scalar index",
            options={"kind": "IVF_HNSW_SQ"},
            note="one partition, so one graph",
        ),
        About(
            "hnswlib",
            "hnswlib",
            "hnswlib_graph",
            "hnswlib",
            NUMBERS,
            "a Python function per candidate; then on one thread",
            environment="peers",
            note=LOCKED,
        ),
        About(
            "usearch",
            "usearch (f16)",
            "usearch_graph",
            "usearch",
            NUMBERS,
            environment="peers",
            mixed=False,
            note=LOCKED,
        ),
        About(
            "voyager",
            "voyager",
            "voyager_graph",
            "voyager",
            NUMBERS,
            environment="peers",
            mixed=False,
        ),
        About(
            "chroma",
            "Chroma",
            "chroma_collection",
            "chromadb",
            STRINGS + ", part, kind",
            "metadata",
            environment="peers",
            fixed=True,
            heavy=True,
            note="returns all metadata or none; its effort belongs to the collection and is read "
            "when that is opened",
        ),
        About(
            "milvus-lite",
            "Milvus Lite",
            "milvus_lite_collection",
            "milvus-lite",
            STRINGS,
            "expression, with a scalar index",
            environment="peers",
            heavy=True,
        ),
        About(
            "qdrant-local",
            "Qdrant, local mode",
            "qdrant_local",
            "qdrant-client",
            "number, score, market, year",
            "payload",
            environment="peers",
            kept=False,
            note="in memory; exact, without an index; its ids are numbers or UUIDs; " + LOCKED,
        ),
    )
}
