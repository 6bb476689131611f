"""Where the time of one search in process goes: FAISS, our index around it, the catalogue.

One query by vector, k = 10, over one modality's index, one call at a time, in turn:
  FAISS alone        HNSW candidates at the effort that was tuned for the recall target
  index              the same with exact scores of the candidates, and rows that were removed
  grouped by item    with the best segments of each item, as every answer has them
  catalogue          the whole: query, policy, groups, columns of ids and two attributes, page token
  catalogue, filter  with `where`, whose rows are kept from the first time on
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks import data
from benchmarks.context import Context
from benchmarks.measure import Result, Times
from trichord.catalog import Catalog
from trichord.catalog.view import View
from trichord.index.ann import AnnIndex
from trichord.index.groups import search_groups
from trichord.store import Store
from trichord.types import F32, Group, Modality

CALLS = 1000
OPTIONS: dict[str, Any] = {"modality": "image", "limit": 10, "attributes": ("market", "year")}
WHERE = "market = 'SE' and year >= 2005"


def run(context: Context) -> Result:
    result = Result("search", {"rows": context.rows, "dim": context.dim, "limit": 10})
    store, queries = context.indexed_store, context.queries[1::3]
    view = View.open(store, Store.open(store).reader())
    leg = view.legs["bench", Modality.IMAGE]
    groups = view.grouping(leg, Group.ITEM)
    base = leg.index.base
    wanted = OPTIONS["limit"] + 1
    with Catalog.open(
        store, space=data.space(context.dim), create=False, background=True
    ) as catalog:
        actions: dict[str, Callable[[F32], Any]] = {}
        if isinstance(base, AnnIndex) and (effort := base.effort(1, wanted, base.size)):
            engine, tuned = base.engine, effort
            actions["FAISS alone"] = lambda query: engine.candidates(query, tuned)
        actions |= {
            "index": lambda query: leg.index.search(query, wanted),
            "grouped by item": lambda query: search_groups(leg.index, query, wanted, groups),
            "catalogue": lambda query: catalog.search(query[0], **OPTIONS),
            "catalogue, filter": lambda query: catalog.search(query[0], where=WHERE, **OPTIONS),
        }
        taken: dict[str, list[float]] = {name: [] for name in actions}
        for number in range(-50, CALLS):
            query = queries[number % len(queries)][None, :]
            for name, action in actions.items():
                began = time.perf_counter()
                action(query)
                if number >= 0:  # those before are to warm up
                    taken[name].append(time.perf_counter() - began)
    result.add({name: Times(values) for name, values in taken.items()})
    return result
