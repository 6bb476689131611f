"""Trichord's values <-> protobuf messages; both sides of a connection use the same code.

enums      modalities, groups, fusions, roles, operators
vectors    float32 arrays
values     attribute values, times
columns    attribute columns of an answer
filters    filter trees
queries    inputs, terms, queries
options    everything else of a search
hits       answers
records    ingest
items      items and entities
registry   spaces and statistics
status     errors
channel    limits, retries, credentials: what a client opens
addresses  where a server listens
plans      messages to send in order, and how to read what comes back
requests   the verbs of a client as plans
outbox     a stream of records and their acknowledgements
"""
