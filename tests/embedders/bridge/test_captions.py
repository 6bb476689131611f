"""Captions: our own by the thousand, and what is wrong with a user's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from trichord.embedders.bridge import captions
from trichord.embedders.pocket import captions as pocket
from trichord.embedders.pocket import concepts
from trichord.errors import InvalidInput
from trichord.types import Modality


def test_they_are_distinct_seeded_and_about_many_things() -> None:
    one, two, other = (captions.generate(seed=s) for s in (0, 0, 1))
    assert one == two and one.sha256 != other.sha256
    assert len(one.lines) == len(set(one.lines)) == captions.COUNT == len(one.groups)
    assert {c.name for c in concepts.concepts()} <= set(one.groups)
    assert len(set(one.groups)) > 600
    assert all(line.strip() == line and "{" not in line for line in one.lines)


def test_no_sentence_of_the_evaluation_is_among_them() -> None:
    asked = {line for m in (Modality.IMAGE, Modality.AUDIO) for _, line in concepts.paraphrases(m)}
    for modality in (Modality.IMAGE, Modality.AUDIO):
        for c in concepts.of(modality):
            asked |= {pocket.concept_caption(t, c) for t in pocket.EVAL_CONCEPT[modality]}
    for seed in range(3):
        assert not asked & set(captions.generate(seed=seed).lines)


def test_captions_that_name_something_can_be_left_out() -> None:
    every = captions.generate(2000)
    kept = every.without(["Cat", "rain"])
    assert 0 < len(kept.lines) < len(every.lines)
    assert not [line for line in kept.lines if "cat" in line.lower() or "rain" in line.lower()]
    assert len(kept.groups) == len(kept.lines)


def test_there_is_an_end_to_them() -> None:
    assert len(set(captions.generate(9_000).lines)) == 9_000
    for wrong in (499, captions.MOST + 1):
        with pytest.raises(InvalidInput, match="500 to 50000"):
            captions.generate(wrong)


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_a_users_file(tmp_path: Path) -> None:
    lines = [f" caption number {i} é " for i in range(600)]
    found = captions.read(written(tmp_path / "mine.txt", lines))
    assert found.lines == tuple(line.strip() for line in lines) == found.groups
    assert found.origin == "mine.txt"


def test_what_is_wrong_is_said_with_its_line(tmp_path: Path) -> None:
    good = [f"caption {i}" for i in range(600)]
    path = tmp_path / "mine.txt"
    with pytest.raises(InvalidInput, match="line 3 is empty"):
        captions.read(written(path, [*good[:2], "  ", *good[2:]]))
    with pytest.raises(InvalidInput, match="line 601 repeats line 8"):
        captions.read(written(path, [*good, "caption 7 "]))
    with pytest.raises(InvalidInput, match="has 499 captions: at least 500"):
        captions.read(written(path, good[:499]))
    with pytest.raises(InvalidInput, match="line 1 has 2001 characters"):
        captions.read(written(path, ["x" * 2001, *good]))
    path.write_bytes(b"\xff\xfe" + b"a\n" * 600)
    with pytest.raises(InvalidInput, match="not UTF-8"):
        captions.read(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        captions.read(tmp_path / "none.txt")
