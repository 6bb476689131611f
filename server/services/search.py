"""Search."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from trichord.catalog import Catalog
from trichord.errors import PageTokenError, TrichordError
from trichord.hits import Hits
from trichord.query import Query, SearchOptions
from trichord.server.calls import principal
from trichord.server.inputs import Inputs, alone, checked_count
from trichord.v1 import search_pb2, search_pb2_grpc
from trichord.wire.hits import to_response
from trichord.wire.options import read_options


class SearchService(search_pb2_grpc.SearchServiceServicer):
    def __init__(self, catalog: Catalog, inputs: Inputs) -> None:
        self._catalog = catalog
        self._inputs = inputs

    def Search(
        self, request: search_pb2.SearchRequest, context: grpc.ServicerContext
    ) -> search_pb2.SearchResponse:
        checked_count(len(request.queries), "queries")
        options = read_options(request)
        if options.page_token and len(request.queries) != 1:
            raise PageTokenError("a page token continues one query: ask for it alone")
        queries = self._inputs.queries(request.queries)
        alone(queries)
        answers = self._answers(queries, options, request.space)
        alone(answers)
        return to_response(answers, space=request.space or self._catalog.space_name)

    def _answers(
        self, queries: Sequence[Query | TrichordError], options: SearchOptions, space: str
    ) -> list[Hits | TrichordError]:
        good = [query for query in queries if isinstance(query, Query)]
        if queries and not good:
            return [query for query in queries if isinstance(query, TrichordError)]
        found = iter(
            self._catalog.search_many(good, options, space=space or None, principal=principal())
        )
        return [next(found) if isinstance(query, Query) else query for query in queries]
