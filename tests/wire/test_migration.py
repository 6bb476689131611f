"""Migrations and progress survive the wire."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.errors import InvalidInput
from trichord.results import (
    AliasInfo,
    BackfillPhase,
    BackfillProgress,
    Coverage,
    Migration,
    MigrationState,
    ShadowEvaluation,
    SpaceInfo,
)
from trichord.types import Frame, Modality, Space
from trichord.v1 import migration_pb2
from trichord.wire.migration import (
    from_aliases,
    from_migration,
    from_progress,
    from_struct,
    to_aliases,
    to_migration,
    to_progress,
    to_struct,
)
from trichord.wire.registry import from_spaces, to_spaces

counts = st.integers(0, 2**40)
names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.floats(-1e9, 1e9) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
progress = st.builds(
    BackfillProgress,
    names,
    st.sampled_from(BackfillPhase),
    counts,
    counts,
    counts,
    counts,
    counts,
    st.floats(0, 1e6),
    st.none() | st.floats(0, 1e9),
    counts,
)
migrations = st.builds(
    Migration,
    names,
    names,
    names,
    st.sampled_from(MigrationState),
    moments,
    moments,
    st.lists(names, max_size=3).map(tuple),
    st.lists(
        st.builds(Coverage, st.sampled_from(Modality), counts, counts, counts), max_size=3
    ).map(tuple),
    st.none()
    | st.builds(
        ShadowEvaluation,
        st.dictionaries(names, plain, max_size=3),
        st.booleans(),
        counts,
        moments,
    ),
    counts,
    names,
    st.booleans(),
    st.none() | progress,
)


@given(migrations)
@settings(deadline=None, max_examples=60)
def test_a_migration_comes_back(one: Migration) -> None:
    message = to_migration(one)
    assert from_migration(type(message).FromString(message.SerializeToString())) == one


@given(progress)
@settings(deadline=None, max_examples=40)
def test_progress_comes_back(one: BackfillProgress) -> None:
    assert from_progress(to_progress(one)) == one


def test_every_state_and_phase_has_its_number() -> None:
    states = dict(migration_pb2.Migration.State.items())
    assert len(states) == len(MigrationState) + 1
    for state in MigrationState:
        name = f"STATE_{state.name}"
        made = Migration("a", "b", "c", state, datetime.now(UTC), datetime.now(UTC))
        assert to_migration(made).state == states[name]
    phases = dict(migration_pb2.BackfillProgress.Phase.items())
    for phase in BackfillPhase:
        assert to_progress(BackfillProgress("a", phase)).phase == phases[f"PHASE_{phase.name}"]
    with pytest.raises(InvalidInput, match="state 99 is not known"):
        from_migration(migration_pb2.Migration(state=99))  # type: ignore[arg-type]


def test_aliases_and_coverage_come_back() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    aliases = [AliasInfo("default", "new", "old", now), AliasInfo("news", "old", None, now)]
    assert from_aliases(to_aliases(aliases)) == aliases
    space = Space("new", Frame("a", 3), {Modality.TEXT: "id"})
    info = SpaceInfo(
        space, True, {Modality.TEXT: True}, ("default",), (Coverage(Modality.TEXT, 7, 5),)
    )
    assert from_spaces(to_spaces([info])) == [info]
    assert (info.coverage[0].lacking, info.coverage[0].share) == (2, 5 / 7)
    assert Coverage(Modality.TEXT, 0, 0).share == 1.0


def test_what_is_no_json_is_refused() -> None:
    for wrong in ({"a": object()}, {"a": {1, 2}}):
        with pytest.raises(InvalidInput, match="no JSON object"):
            to_struct(wrong)
    message = migration_pb2.RecordEvaluationRequest()
    message.summary.fields["x"].number_value = float("inf")
    with pytest.raises(InvalidInput, match="no JSON object"):
        from_struct(message.summary)
