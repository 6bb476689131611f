"""Search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import grpc

from trichord.answers import Answers, gathered
from trichord.catalog import Catalog
from trichord.errors import InvalidInput, PageTokenError, TrichordError
from trichord.query import Query, SearchOptions, Vectors
from trichord.server.calls import principal
from trichord.server.errors import answered
from trichord.server.inputs import Inputs, alone, checked_count
from trichord.v1 import search_pb2, search_pb2_grpc
from trichord.wire.hits import to_response
from trichord.wire.options import read_options
from trichord.wire.streams import to_streamed
from trichord.wire.vectors import from_vector


class SearchService(search_pb2_grpc.SearchServiceServicer):
    def __init__(self, catalog: Catalog, inputs: Inputs) -> None:
        self._catalog = catalog
        self._inputs = inputs

    def Search(
        self, request: search_pb2.SearchRequest, context: grpc.ServicerContext
    ) -> search_pb2.SearchResponse:
        return self._response(request)

    def StreamSearch(
        self,
        request_iterator: Iterator[search_pb2.StreamSearchRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[search_pb2.StreamSearchResponse]:
        context.send_initial_metadata(())  # so that a caller knows that it was let in
        for asked in request_iterator:
            found = answered(self._response, asked.request)
            yield to_streamed(asked.request_id, found)

    def _response(self, request: search_pb2.SearchRequest) -> search_pb2.SearchResponse:
        if request.HasField("vectors"):
            answers = self._by_vectors(request)
        else:
            options = read_options(request)
            checked_count(len(request.queries), "queries")
            if options.page_token and len(request.queries) != 1:
                raise PageTokenError("a page token continues one query: ask for it alone")
            queries = self._inputs.queries(request.queries)
            alone(queries)
            answers = self._by_queries(queries, options, request.space)
            if answers.errors:
                alone(answers)
        return to_response(answers, space=request.space or self._catalog.space_name)

    def _by_vectors(self, request: search_pb2.SearchRequest) -> Answers:
        if len(request.queries):
            raise InvalidInput("ask by queries or by vectors, not by both in one call")
        rows = from_vector(request.vectors)
        checked_count(len(rows), "queries")
        vectors = Vectors(rows, request.vectors.frame)
        request.ClearField("vectors")  # 128 kB need not be copied to read what else there is
        return self._search(vectors, read_options(request), request.space)

    def _by_queries(
        self, queries: Sequence[Query | TrichordError], options: SearchOptions, space: str
    ) -> Answers:
        errors = {i: one for i, one in enumerate(queries) if isinstance(one, TrichordError)}
        good = [query for query in queries if isinstance(query, Query)]
        if errors and not good:
            return gathered(list(errors.values()))
        answers = self._search(good, options, space)
        return answers.with_errors(errors, len(queries)) if errors else answers

    def _search(
        self, asked: Sequence[Query] | Vectors, options: SearchOptions, space: str
    ) -> Answers:
        return self._catalog.search_many(asked, options, space=space or None, principal=principal())
