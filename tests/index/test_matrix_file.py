"""A matrix that goes to disk row by row is the file that numpy would have written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.index.ann import AnnIndex
from trichord.index.build import build
from trichord.index.matrix_file import MatrixFile
from trichord.index.persist import drafted, load


@settings(deadline=None, max_examples=40)
@given(sizes=st.lists(st.integers(0, 2000), max_size=6), dim=st.integers(1, 40))
def test_numpy_reads_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], dim: int
) -> None:
    folder = tmp_path_factory.mktemp("matrix")
    generator = np.random.default_rng(sum(sizes) + dim)
    blocks = [generator.standard_normal((size, dim)).astype(np.float32) for size in sizes]
    whole = np.concatenate([np.empty((0, dim), np.float32), *blocks])
    for path in (folder / "rows.npy", None):
        with MatrixFile(path, dim) if path else MatrixFile.temporary(folder, dim) as matrix:
            for block in blocks:
                matrix.append(block)
            mapped = matrix.mapped()
            assert matrix.rows == len(whole)
        assert np.array_equal(mapped, whole) and not mapped.flags.writeable
        if path:
            assert np.array_equal(np.load(path), whole)
            assert np.array_equal(np.load(path, mmap_mode="r"), whole)
    assert [path.name for path in folder.iterdir()] == ["rows.npy"]


def test_rows_of_another_width_are_refused(tmp_path: Path) -> None:
    with MatrixFile(tmp_path / "x", 4) as matrix:
        for bad in (np.zeros((2, 5), np.float32), np.zeros(4, np.float32)):
            with pytest.raises(ValueError, match="not"):
                matrix.append(bad)


def test_an_index_is_built_from_the_file_it_will_be_served_from(world, tmp_path: Path) -> None:
    with drafted(tmp_path / "index") as draft:
        with draft.matrix(world.rows.shape[1]) as matrix:
            for start in range(0, 3000, 700):
                matrix.append(world.rows[start : min(3000, start + 700)])
            vectors = matrix.mapped()
        index = build(vectors, kind="hnsw", queries=world.tuning, threads=1, fitted=False)
        assert isinstance(index, AnnIndex) and np.shares_memory(index.vectors, vectors)
        draft.finish(index, {"snapshot": 1}, {"a": np.arange(4)})
    again, mapped, manifest = load(tmp_path / "index")
    assert np.array_equal(mapped, world.rows[:3000]) and manifest.meta == {"snapshot": 1}
    assert np.array_equal(manifest.arrays["a"], np.arange(4))
    assert isinstance(again, AnnIndex) and again.info == index.info
    assert {kind: len(found) for kind, found in again.samples.items()} == {"own": 256, "given": 200}
    for kind, found in again.samples.items():
        assert np.array_equal(found, index.samples[kind])
    for recall in (None, 0.9, 0.99):
        found, expected = (one.search(world.cross, 10, recall=recall) for one in (again, index))
        assert np.array_equal(found.rows, expected.rows)


def test_nothing_is_left_of_a_draft_that_fails(world, tmp_path: Path) -> None:
    with pytest.raises(KeyError), drafted(tmp_path / "index") as draft:
        with draft.matrix(world.rows.shape[1]) as matrix:
            matrix.append(world.rows[:10])
        raise KeyError("the caller gave up")
    assert list(tmp_path.iterdir()) == []
