"""Everything of a search but the queries <-> the fields of a SearchRequest."""

from __future__ import annotations

from trichord.errors import InvalidInput
from trichord.query import RERANK_MS, Boost, SearchOptions
from trichord.v1 import search_pb2
from trichord.wire.enums import (
    FUSION_NUMBERS,
    FUSIONS,
    GROUP_NUMBERS,
    GROUPS,
    member,
    modality_number,
    modality_numbers,
    modality_of,
)
from trichord.wire.filters import from_filter, to_filter


def write_options(options: SearchOptions, request: search_pb2.SearchRequest) -> None:
    request.modalities.extend(modality_numbers(options.modality))
    if options.where is not None and options.where != "":
        request.filter.CopyFrom(to_filter(options.where))
    request.page_size = options.limit
    request.group = GROUP_NUMBERS[options.group]
    request.attributes.extend(options.attributes)
    request.segments_per_hit = options.segments
    request.fusion = FUSION_NUMBERS[options.fuse]
    request.exact = options.exact
    request.page_token = options.page_token
    for name, share in options.quotas:
        request.quotas.add(modality=modality_number(name), share=share)
    if options.min_significance is not None:
        request.min_significance = options.min_significance
    if options.min_probability is not None:
        request.min_probability = options.min_probability
    if options.recall is not None:
        request.recall = options.recall
    # In order, so that equal questions are equal messages.
    request.exclude_item_ids.extend(sorted(options.exclude_items))
    request.exclude_entity_ids.extend(sorted(options.exclude_entities))
    for boost in options.boosts:
        message = request.boosts.add(weight=boost.weight)
        if boost.attribute:
            message.attribute = boost.attribute
        else:
            message.filter.CopyFrom(to_filter(boost.where))
    request.diversity = options.diversity
    request.keywords = options.keywords
    request.rerank = options.rerank
    if options.rerank:
        request.rerank_ms = options.rerank_ms
    request.facets.extend(options.facets)
    request.explain = options.explain


_DEFAULT_LIMIT = SearchOptions().limit

_READ: dict[bytes, SearchOptions] = {}
REMEMBERED, SHORT = 256, 1024
"""Options that are asked with again and again are read once: so many of at most so many bytes."""
LARGE = 1 << 20


def read_options(request: search_pb2.SearchRequest) -> SearchOptions:
    """Raises InvalidInput for unknown enum numbers and limits out of range, FilterError."""
    if request.ByteSize() > LARGE:  # pictures and sounds are not copied to be left out
        return _read(request)
    said = request
    if request.HasField("vectors") or len(request.queries):
        said = search_pb2.SearchRequest()
        said.CopyFrom(request)
        said.ClearField("queries")
        said.ClearField("vectors")
    key = said.SerializeToString()
    known = _READ.get(key)
    if known is not None:
        return known
    options = _read(request)
    if len(key) <= SHORT and not options.page_token:
        if len(_READ) >= REMEMBERED:
            _READ.clear()
        _READ[key] = options
    return options


def _read(request: search_pb2.SearchRequest) -> SearchOptions:
    return SearchOptions(
        modality=tuple([modality_of(number).value for number in request.modalities]),
        where=from_filter(request.filter) if request.HasField("filter") else None,
        limit=request.page_size or _DEFAULT_LIMIT,
        group=member(GROUPS, request.group, "group"),
        attributes=tuple(request.attributes),
        segments=request.segments_per_hit or 1,
        fuse=member(FUSIONS, request.fusion, "fusion"),
        exact=request.exact,
        page_token=request.page_token,
        quotas=tuple([(modality_of(q.modality).value, q.share) for q in request.quotas]),
        min_significance=(
            request.min_significance if request.HasField("min_significance") else None
        ),
        min_probability=request.min_probability if request.HasField("min_probability") else None,
        recall=request.recall if request.HasField("recall") else None,
        exclude_items=frozenset(request.exclude_item_ids),
        exclude_entities=frozenset(request.exclude_entity_ids),
        boosts=tuple([_boost(message) for message in request.boosts]),
        diversity=request.diversity,
        keywords=request.keywords,
        rerank=request.rerank,
        rerank_ms=request.rerank_ms or RERANK_MS,
        facets=tuple(request.facets),
        explain=request.explain,
    )


def _boost(message: search_pb2.Boost) -> Boost:
    match message.WhichOneof("subject"):
        case "filter":
            return Boost(message.weight, where=from_filter(message.filter))
        case "attribute":
            return Boost(message.weight, attribute=message.attribute)
    raise InvalidInput("a boost needs a filter or an attribute")
