"""What was saved comes back, and nothing else does."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xxhash

from trichord.errors import InvalidInput, StorageFull, StoreDamaged
from trichord.index import manifest, persist
from trichord.index.ann import AnnIndex
from trichord.index.build import build
from trichord.index.checksums import CHUNK, file_checksum
from trichord.index.costs import machine
from trichord.index.exact import ExactIndex
from trichord.index.live import LiveIndex
from trichord.index.manifest import exists
from trichord.index.persist import load, save

META = {"snapshot": 41, "frame": "anchor/32", "encoder": "ab" * 32, "notes": ["a", None, 1.5]}


@pytest.fixture(params=["exact", "hnsw", "ivf"])
def saved(request: pytest.FixtureRequest, world, tmp_path: Path):
    rows = world.rows[:3000]
    index = build(rows, kind=request.param, threads=1, fitted=False)
    assert index.info.kind == request.param, index.info.reason
    arrays = {
        "items": np.arange(3000)[::-1],
        "names": np.array(["x", "yy", "zzz"]),
        "nothing": np.empty((0, 3), dtype=np.float32),
    }
    folder = tmp_path / "space" / "text"
    manifest = save(folder, index=index, vectors=rows, meta=META, arrays=arrays)
    return folder, index, rows, arrays, manifest


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.parent.iterdir() if path != folder]


def test_comes_back_whole(saved, world) -> None:
    folder, index, rows, arrays, written = saved
    assert exists(folder) and not leftovers(folder)
    for verify in (True, False):
        again, vectors, manifest = load(folder, verify=verify)
        assert type(again) is type(index)
        assert again.info == index.info
        assert np.array_equal(vectors, rows) and not vectors.flags.writeable
        assert manifest == written
        assert manifest.meta == META
        assert (manifest.size, manifest.dim) == rows.shape
        assert manifest.info.recall == index.info.recall
        assert abs(manifest.created - datetime.now(UTC)) < timedelta(minutes=5)
        assert set(manifest.arrays) == set(arrays)
        for name, array in arrays.items():
            assert np.array_equal(manifest.arrays[name], array)
            assert manifest.arrays[name].dtype == array.dtype
        for queries in (world.own, world.cross):
            for allowed in (None, np.arange(3000) % 3 == 0):
                expected = index.search(queries, 10, allowed=allowed)
                found = again.search(queries, 10, allowed=allowed)
                assert np.array_equal(found.rows, expected.rows)
                assert np.array_equal(found.scores, expected.scores)


def test_a_flipped_byte_anywhere_is_found(saved) -> None:
    folder, *_ = saved
    load(folder)
    for path in sorted(folder.iterdir()):
        good = path.read_bytes()
        for position in sorted({0, 9, len(good) // 3, len(good) // 2, len(good) - 2}):
            bad = bytearray(good)
            bad[position] ^= 0x04
            path.write_bytes(bad)
            with pytest.raises(StoreDamaged, match="build it again"):
                load(folder)
        path.write_bytes(good)
    load(folder)


def test_truncated_and_missing_files_are_found_without_reading_them(saved) -> None:
    folder, *_ = saved
    for path in sorted(folder.iterdir()):
        good = path.read_bytes()
        for cut in (0, len(good) // 2, len(good) - 1):
            path.write_bytes(good[:cut])
            with pytest.raises(StoreDamaged):
                load(folder, verify=False)
        path.unlink()
        with pytest.raises(StoreDamaged):
            load(folder, verify=False)
        path.write_bytes(good)
    load(folder)


def test_no_index_at_all(tmp_path: Path) -> None:
    assert not exists(tmp_path / "none")
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(StoreDamaged, match="there is none"):
            load(folder)


def rewrite_manifest(folder: Path, **changes: object) -> None:
    """A manifest that is consistent in itself but says something else."""
    path = folder / "manifest.json"
    facts = json.loads(path.read_text())
    del facts["checksum"]
    facts |= changes
    facts["checksum"] = manifest._digest(facts)
    path.write_text(json.dumps(facts))


def test_another_version_of_faiss_or_of_the_format(saved) -> None:
    folder, index, *_ = saved
    rewrite_manifest(folder, faiss="1.2.3")
    if isinstance(index, AnnIndex):
        with pytest.raises(StoreDamaged, match=r"FAISS 1\.2\.3"):
            load(folder)
    else:
        load(folder)  # nothing in it is FAISS's
    rewrite_manifest(folder, format=3)
    with pytest.raises(StoreDamaged, match="format"):
        load(folder)


@pytest.mark.parametrize("saved", ["hnsw", "ivf"], indirect=True)
def test_an_index_of_the_first_format_answers_as_it_did(saved, world) -> None:
    """One target, no costs, no samples: as versions before this one wrote it."""
    folder, index, *_ = saved
    facts = json.loads((folder / "manifest.json").read_text())
    info, files = facts["info"], facts["files"]
    target = str(info["recall_target"])
    info["parameters"]["efforts"] = info["parameters"]["efforts"][target]
    for name in ("targets", "index_bytes"):
        del info[name]
    del info["parameters"]["costs"]
    for name in [name for name in files if name.startswith("samples-")]:
        (folder / name).unlink()
        del files[name]
    rewrite_manifest(folder, format=1, info=info, files=files)
    old, _, manifest = load(folder)
    assert isinstance(old, AnnIndex) and manifest.info.recall == index.info.recall
    assert old.curves == {index.info.recall_target: index.curve}
    assert old.costs.machine == machine() and old.samples == {}
    truth = world.reference.search(world.own, 10, allowed=np.arange(6000) < 3000)
    found = old.search(world.own, 10)
    assert np.mean(found.scores >= truth.scores[:, -1:] - 1e-6) >= 0.93
    # More than it was tuned to is had by exact search.
    found = old.search(world.own, 10, recall=0.99)
    assert np.mean(found.scores >= truth.scores[:, -1:] - 1e-6) == 1.0
    live = LiveIndex(old).with_changes(world.rows[3000:])
    assert live.settled(120) and live.search(world.own, 3).rows.shape == (64, 3)


@pytest.mark.parametrize("saved", ["hnsw", "ivf"], indirect=True)
def test_files_of_different_indexes_do_not_mix(saved, world) -> None:
    """Sizes and checksums hold, but the engine is over other rows than the matrix."""
    folder, index, rows, *_ = saved
    other = build(world.rows[:2500], kind=index.info.kind, threads=1)
    assert isinstance(other, AnnIndex)
    other.engine.write(folder / "index.faiss")
    path = folder / "index.faiss"
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files["index.faiss"] = {"bytes": path.stat().st_size, "xxh3": file_checksum(path)}
    rewrite_manifest(folder, files=files)
    with pytest.raises(StoreDamaged, match="2500"):
        load(folder)


def test_replacing_leaves_readers_of_the_old_one_alone(world, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    first, second = world.rows[:500], world.rows[500:900]
    save(folder, index=ExactIndex(first), vectors=first, meta={"snapshot": 1})
    old, vectors, _ = load(folder)
    expected = ExactIndex(first).search(world.own, 5)
    # Also when what is written comes from the very folder that is replaced.
    save(folder, index=old, vectors=vectors, meta={"snapshot": 2})
    save(folder, index=ExactIndex(second), vectors=second, meta={"snapshot": 3})
    assert np.array_equal(old.search(world.own, 5).rows, expected.rows)
    new, vectors, manifest = load(folder)
    assert manifest.meta == {"snapshot": 3} and np.array_equal(vectors, second)
    assert leftovers(folder) == []


def test_a_full_disk_leaves_the_old_index(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rows = tmp_path / "index", world.rows[:300]
    save(folder, index=ExactIndex(rows), vectors=rows, meta={"snapshot": 1})

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(persist.MatrixFile, "append", full)
    with pytest.raises(StorageFull):
        save(folder, index=ExactIndex(rows), vectors=rows, meta={"snapshot": 2})
    monkeypatch.undo()
    assert load(folder)[2].meta == {"snapshot": 1}
    assert leftovers(folder) == []


def test_refuses_what_it_could_not_bring_back(world, tmp_path: Path) -> None:
    rows = world.rows[:50]
    index = ExactIndex(rows)
    folder = tmp_path / "index"
    for vectors in (rows[:40], rows.astype(np.float64)):
        with pytest.raises(InvalidInput):
            save(folder, index=index, vectors=vectors, meta={})
    for meta in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises(InvalidInput):
            save(folder, index=index, vectors=rows, meta=meta)
    for arrays in ({"../x": rows}, {"x": np.array([object()])}, {"": rows}):
        with pytest.raises(InvalidInput):
            save(folder, index=index, vectors=rows, meta={}, arrays=arrays)
    assert not folder.exists() and list(tmp_path.iterdir()) == []


def test_an_empty_index_comes_back(tmp_path: Path) -> None:
    rows = np.empty((0, 7), dtype=np.float32)
    save(tmp_path / "index", index=ExactIndex(rows), vectors=rows, meta={})
    index, vectors, _ = load(tmp_path / "index")
    assert vectors.shape == (0, 7)
    assert index.search(np.eye(7, dtype=np.float32)[:1], 2).rows.tolist() == [[-1, -1]]


def test_checksums_see_every_chunk(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = bytearray(os.urandom(CHUNK + 1000))
    path.write_bytes(content)
    first = file_checksum(path)
    assert first == xxhash.xxh3_128_hexdigest(bytes(content))
    seen = {first}
    for position in (0, CHUNK - 1, CHUNK, CHUNK + 999):
        content[position] ^= 1
        path.write_bytes(content)
        seen.add(file_checksum(path))
    assert len(seen) == 5
    path.write_bytes(b"")
    assert file_checksum(path) not in seen
