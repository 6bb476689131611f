"""Vectors -> neighbours: exact search, approximate indexes with measured recall, and their files.

Knows arrays, row numbers and folders; never the store. An index is a cache: it can be deleted and
built again from the same matrix.

    base         Neighbours, VectorIndex, IndexInfo: what every index is and answers
    rowset       RowSet: the rows that a filter allows
    reference    ReferenceIndex: the slow, obvious answer that the others are compared with
    exact        ExactIndex: blocked matrix product and running top k
    ann          AnnIndex: candidates of an engine, screened, scored exactly, widened when short
    hnsw, ivf    the two engines
    plan, planner, costs, fitting
                 how deep, which way, at what cost on this machine
    tuning       the smallest effort that reaches a recall
    budget       which kind fits into how much memory
    build        choice, construction and tuning in one call
    live, tail, fresh, background
                 an index, the rows since in tiers, less the removed ones
    groups       the best distinct groups (items, entities) and their best rows
    batching     callers at the same time share a search, where that pays
    persist, manifest, matrix_file, arrays, folders, checksums
                 files that appear whole or not at all
    gpu, cuda, rounding, gpu_flat, gpu_ivf, gpu_cagra, gpu_engine, gpu_build, coarse, placement
                 the same on a GPU, or built there
    selftest, trial
                 whether FAISS heeds a selector, and whether a GPU works
    synthetic    data with clusters and a modality gap, for tests and benchmarks
"""
