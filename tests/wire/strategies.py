"""Random values of every kind that travels."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from trichord.filters import And, Compare, Exists, Has, In, Not, Op, Or

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
names = st.text("abcdefgh_", min_size=1, max_size=8)
integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False)
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.sampled_from([UTC]))
scalars = st.one_of(texts, integers, floats, st.booleans(), times)
values = st.one_of(st.none(), scalars, st.lists(texts, max_size=4))

leaves = st.one_of(
    st.builds(Compare, names, st.sampled_from(Op), scalars),
    st.builds(In, names, st.lists(scalars, min_size=1, max_size=4).map(tuple)),
    st.builds(Has, names, texts),
    st.builds(Exists, names),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=12,
)
