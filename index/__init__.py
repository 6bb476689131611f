"""Vectors -> neighbours: exact search, approximate indexes with measured recall, and their files.

Knows arrays, row numbers and folders; never the store. An index is a cache: it can be deleted and
built again from the same matrix.

    base       Neighbours, VectorIndex, IndexInfo: what every index is and answers
    rowset     RowSet: the rows that a filter allows
    reference  ReferenceIndex: the slow, obvious answer that the others are compared with
    exact      ExactIndex: blocked matrix product and running top k
    ann        AnnIndex: candidates of an engine, screened, scored exactly, widened when short
    hnsw, ivf  the two engines
    tuning     the smallest effort that reaches a measured recall
    build      choice, construction and tuning in one call
    live       LiveIndex: base + fresh rows - removed rows
    groups     the best distinct groups (items, entities) and their best rows
    persist    save and load with a manifest and checksums
    synthetic  data with clusters and a modality gap, for tests and benchmarks
"""
