"""Significance in searches: planted relevance, thresholds, mixed lists, health."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import HashSpace
from trichord.catalog import Catalog
from trichord.catalog.tails import fit
from trichord.errors import EncoderMismatch, InvalidInput, NotFound
from trichord.hits import Hits
from trichord.query import ItemRef, Query, Record, Term, Text
from trichord.types import Frame, Modality

DIM = 64
CONCEPTS = 40
OF_EACH = 30
"""Items per concept and modality: one random pair in 40 is a related one … of other entities."""


class Planted:
    """Concepts whose pictures and sounds lie at different distances from what is asked: pictures
    near, sounds far and shifted by a gap, as in real joint spaces."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.centres = self.unit(self.generator.standard_normal((CONCEPTS, DIM)))
        self.gap = self.unit(self.generator.standard_normal(DIM))

    @staticmethod
    def unit(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    def near(self, concept: int, modality: str, loose: float) -> np.ndarray:
        noise = self.unit(self.generator.standard_normal(DIM))
        shift = {"image": 0.0, "audio": 1.5}[modality] * self.gap
        away = {"image": 0.9, "audio": 0.9}[modality] * loose
        return self.unit(self.centres[concept] + away * noise + shift).astype(np.float32)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted(7)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory, planted: Planted) -> Iterator[Catalog]:
    path = tmp_path_factory.mktemp("calibrated") / "store"
    with Catalog.open(path, space=HashSpace(dim=DIM)) as opened:
        records = [
            Record(
                f"{modality}-{concept}-{number}",
                modality=modality,
                vector=planted.near(concept, modality, loose=0.5 + number / OF_EACH),
                attributes={"concept": concept},
            )
            for modality in ("image", "audio")
            for concept in range(CONCEPTS)
            for number in range(OF_EACH)
        ]
        with opened.ingestion() as ingestion:
            assert not [a.error for a in ingestion.add(records) if a.error]
        yield opened


def test_uncalibrated_hits_have_no_significance(catalog: Catalog) -> None:
    hits = catalog.search(ItemRef("image-0-0"), limit=5)
    assert np.isnan(hits.significances).all() and hits.probabilities is None
    assert hits[0].significance is None and hits[0].probability is None
    with pytest.raises(InvalidInput, match="not calibrated: run"):
        catalog.search("rain", min_significance=2)
    with pytest.raises(InvalidInput, match="not calibrated"):
        catalog.search("rain", fuse="significance")


@pytest.fixture(scope="module")
def calibrated(catalog: Catalog) -> Catalog:
    judged = [
        (
            Query((Term(ItemRef(f"{modality}-{concept}-0"), 1.0),)),
            {
                f"{other}-{concept}-{number}": 1
                for other in ("image", "audio")
                for number in range(OF_EACH)
            },
        )
        for modality in ("image", "audio")
        for concept in range(CONCEPTS)
    ]
    made = catalog.calibrate(judged=judged, minimum=100_000)
    pairs = [(q, i) for q in ("image", "audio", "text") for i in ("image", "audio")]
    assert set(made.tails) == set(pairs)
    assert "nothing of text is stored" in made.skipped[Modality.IMAGE, Modality.TEXT]
    assert None in made.curves
    return catalog


def ask(catalog: Catalog, item_id: str, **options: object) -> Hits:
    return catalog.search(ItemRef(item_id), limit=20, exact=True, **options)  # type: ignore[arg-type]


def test_it_rises_with_the_score_and_tells_rank_1_from_rank_10(calibrated: Catalog) -> None:
    for concept in range(0, CONCEPTS, 4):
        for modality in ("image", "audio"):
            hits = ask(calibrated, f"image-{concept}-3", modality=modality)
            assert (np.diff(hits.scores) <= 0).all()
            assert (np.diff(hits.significances) <= 0).all()
            assert hits.significances[0] - hits.significances[9] > 0.05
            assert hits.significances[0] > 1.5


def test_it_is_the_share_of_random_pairs_at_least_as_near(
    calibrated: Catalog, planted: Planted
) -> None:
    """Brute force: the share of all picture-sound pairs that score at least as high."""
    ids = [
        f"{m}-{c}-{n}" for m in ("image", "audio") for c in range(CONCEPTS) for n in range(OF_EACH)
    ]
    vectors = np.stack([v.vector for v in _directions(calibrated, ids)])
    pictures, sounds = vectors[: len(ids) // 2], vectors[len(ids) // 2 :]
    background = np.sort((pictures @ sounds.T).ravel())
    hits = calibrated.search(ItemRef("image-5-2"), limit=60, exact=True, modality="audio")
    compared = 0
    for hit in hits:
        at_least = len(background) - np.searchsorted(background, hit.score)
        expected = -np.log10(max(at_least, 1) / len(background))
        assert hit.significance is not None and hit.significance < expected + 0.2
        if at_least > 1_000:
            compared += 1
            assert hit.significance == pytest.approx(expected, abs=0.3)
    assert compared >= 5


def _directions(catalog: Catalog, ids: list[str]) -> list:  # type: ignore[type-arg]
    from trichord.catalog.asking import Asker, Direction

    view = catalog._views.newest
    asker = Asker(view, view.spaces["hash"], None, None)
    found = asker.embed([ItemRef(item_id) for item_id in ids])
    assert all(isinstance(one, Direction) for one in found)
    return found


def test_equal_relevance_is_equally_significant_in_every_modality(calibrated: Catalog) -> None:
    """Raw cosines of the same planted relevance differ by modality; significances agree."""
    of_pair: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for concept in range(CONCEPTS):
        for asked in ("image", "audio"):
            for found in ("image", "audio"):
                hits = ask(calibrated, f"{asked}-{concept}-1", modality=found)
                right = [h for h in hits if h.item_id.split("-")[1] == str(concept)]
                of_pair.setdefault((asked, found), []).extend(
                    (h.score, h.significance or 0.0) for h in right[:5]
                )
    score = {pair: np.median([s for s, _ in values]) for pair, values in of_pair.items()}
    own = {pair: np.median([s for _, s in values]) for pair, values in of_pair.items()}
    assert max(score.values()) - min(score.values()) > 0.15
    assert max(own.values()) - min(own.values()) < 0.8
    assert min(own.values()) > 1.2
    # Read with the background of another pair, the same scores would say something else entirely.
    made = calibrated._views.newest.calibration(calibrated._views.newest.spaces["hash"])
    assert made is not None
    wrong = made.significance(Modality.IMAGE, Modality.IMAGE, score["audio", "audio"])
    assert wrong is not None and wrong - own["audio", "audio"] > 1.0


def test_thresholds_leave_out_what_is_below(calibrated: Catalog) -> None:
    everything = ask(calibrated, "image-2-0")
    cut = float(np.sort(everything.significances)[8])
    kept = ask(calibrated, "image-2-0", min_significance=cut)
    assert 0 < len(kept) <= 20
    assert (kept.significances >= np.float32(cut)).all()
    expected = [h.item_id for h in everything if (h.significance or 0) >= np.float32(cut)]
    assert [h.item_id for h in kept][: len(expected)] == expected
    assert not len(ask(calibrated, "image-2-0", min_significance=200))
    likely = ask(calibrated, "image-2-0", min_probability=0.5)
    assert len(likely) and likely.probabilities is not None
    assert (likely.probabilities >= 0.5).all()
    right = [h.item_id.split("-")[1] == "2" for h in likely]
    assert np.mean(right) > 0.5


def test_pages_with_a_threshold_give_the_whole_list(calibrated: Catalog) -> None:
    asked = {"min_significance": 1.7, "modality": "image"}
    whole = calibrated.search(ItemRef("image-9-0"), limit=500, **asked)
    pages, token = [], ""
    while True:
        page = calibrated.search(ItemRef("image-9-0"), limit=7, page_token=token, **asked)
        pages += list(page.item_ids)
        token = page.next_page_token
        if not token:
            break
    assert pages == list(whole.item_ids)
    assert len(pages) > 7


def test_combinations_have_no_background(calibrated: Catalog) -> None:
    hits = calibrated.search(ItemRef("image-1-0") + 0.5 * Text("rain"), limit=3)
    assert np.isnan(hits.significances).all()
    with pytest.raises(InvalidInput, match="not defined for a vector"):
        calibrated.search(ItemRef("image-1-0") + 0.5 * Text("rain"), min_significance=1)


def test_a_list_by_significance_is_in_its_order(calibrated: Catalog) -> None:
    hits = ask(calibrated, "image-3-0", fuse="significance")
    assert (np.diff(hits.significances) <= 0).all()
    assert len(set(hits.modalities)) == 2
    by_score = ask(calibrated, "image-3-0", fuse="score")
    assert list(by_score.item_ids) != list(hits.item_ids)


@pytest.mark.parametrize(
    ("quotas", "first", "expected"),
    [
        ("audio=1,image=1", 10, {"audio": 5, "image": 5}),
        ("audio=3,image=1", 8, {"audio": 6, "image": 2}),
        ({"image": 1}, 10, {"image": 10}),
        ("", 10, {"audio": 5, "image": 5}),
    ],
)
def test_quotas_hold_in_every_beginning(
    calibrated: Catalog, quotas: object, first: int, expected: dict[str, int]
) -> None:
    hits = ask(calibrated, "image-3-0", fuse="quota", quotas=quotas)
    counted = {m: list(hits.modalities)[:first].count(m) for m in expected}
    assert counted == expected
    for modality in expected:
        alone = ask(calibrated, "image-3-0", modality=modality)
        mixed = [i for i, m in zip(hits.item_ids, hits.modalities, strict=True) if m == modality]
        assert mixed == list(alone.item_ids)[: len(mixed)]


@pytest.mark.parametrize(
    "options", [{"quotas": "audio=1"}, {"fuse": "quota", "quotas": "audio=0"},
                {"fuse": "quota", "quotas": "audio"}, {"fuse": "quota", "quotas": "video=1"},
                {"fuse": "quota", "quotas": {"audio": "many"}}, {"min_significance": -1.0},
                {"min_probability": 1.5}],
)  # fmt: skip
def test_options_that_cannot_be_meant(calibrated: Catalog, options: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidInput):
        ask(calibrated, "image-3-0", **options)


def test_a_calibration_of_other_encoders_does_not_count(calibrated: Catalog) -> None:
    view = calibrated._views.newest
    space = view.spaces["hash"]
    made = view.calibration(space)
    assert made is not None and made.fits(space)
    from dataclasses import replace

    assert not made.fits(replace(space, frame=Frame("other", DIM)))
    assert not made.fits(replace(space, encoders={**space.encoders, Modality.IMAGE: "0" * 64}))


def test_it_is_the_fit_of_all_pairs(calibrated: Catalog) -> None:
    view = calibrated._views.newest
    made = view.calibration(view.spaces["hash"])
    assert made is not None
    ids = [f"audio-{c}-{n}" for c in range(CONCEPTS) for n in range(OF_EACH)]
    vectors = np.stack([one.vector for one in _directions(calibrated, ids)])
    scores = (vectors @ vectors.T)[~np.eye(len(vectors), dtype=bool)]
    brute = fit(scores)
    grid = np.linspace(brute.threshold - 0.3, brute.threshold + 0.05, 20)
    assert made.tails[Modality.AUDIO, Modality.AUDIO].significance(grid) == pytest.approx(
        brute.significance(grid), abs=0.02
    )


def test_health_is_what_brute_force_says(calibrated: Catalog) -> None:
    found = calibrated.health(sample=10_000)
    ids = [f"image-{c}-{n}" for c in range(CONCEPTS) for n in range(OF_EACH)]
    pictures = np.stack([one.vector for one in _directions(calibrated, ids)]).astype(float)
    sounds = np.stack(
        [one.vector for one in _directions(calibrated, [i.replace("image", "audio") for i in ids])]
    ).astype(float)
    image = next(one for one in found.modalities if one.modality == "image")
    assert (image.items, image.covered, image.segments) == (1_200, 1_200, 1_200)
    assert image.coverage == 1.0 and image.norm_error < 1e-5
    off = ~np.eye(len(pictures), dtype=bool)
    assert image.mean_cosine == pytest.approx((pictures @ pictures.T)[off].mean(), abs=1e-4)
    spectrum = np.linalg.eigvalsh(np.cov(pictures.T))
    assert image.effective_dimension == pytest.approx(
        spectrum.sum() ** 2 / (spectrum**2).sum(), rel=1e-3
    )
    pair = next(p for p in found.pairs if (p.query, p.item) == ("image", "audio"))
    assert pair.gap == pytest.approx(np.linalg.norm(pictures.mean(0) - sounds.mean(0)), abs=1e-4)
    counts = np.zeros(len(sounds))
    for row in pictures @ sounds.T:
        counts[np.argsort(-row)[:10]] += 1
    from scipy.stats import skew

    assert pair.hubness == pytest.approx(skew(counts), abs=0.05)
    assert pair.never == pytest.approx((counts == 0).mean(), abs=0.005)
    assert pair.largest_hub == pytest.approx(counts.max() / len(pictures), abs=0.002)


def test_health_names_hubs_and_gaps_in_coverage(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    vectors = generator.standard_normal((400, 32)).astype(np.float32)
    vectors[0] = vectors.sum(axis=0)  # near to everything
    vectors[1:] += 3.0 * vectors[0] / np.linalg.norm(vectors[0])
    with Catalog.open(tmp_path / "store", space=HashSpace()) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add(
                [Record(f"i{n}", modality="image", vector=v) for n, v in enumerate(vectors)]
            )
        warnings = " ".join(catalog.health().warnings)
    assert "has hubs" in warnings


def test_another_encoder_never_measures_the_background(calibrated: Catalog) -> None:
    """Without one that made the vectors, stored texts ask; here there are none."""
    other = HashSpace(dim=DIM, version=2)
    with Catalog.open(calibrated.path, space=other) as catalog:
        made = catalog.calibrate(minimum=100_000)
        assert all(query is not Modality.TEXT for query, _ in made.tails)
        with pytest.raises(EncoderMismatch, match="another encoder"):
            catalog.calibrate(texts=["rain", "snow"], minimum=1)
        with pytest.raises(EncoderMismatch):
            catalog.calibrate(judged=[(Text("rain"), {"image-0-0": 1})], minimum=100_000)


def test_a_calibration_that_fails_leaves_the_earlier_one(tmp_path: Path, planted: Planted) -> None:
    with Catalog.open(tmp_path / "store", space=HashSpace(dim=DIM)) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add(
                [
                    Record(f"i{n}", modality="image", vector=planted.near(n % 9, "image", 1.0))
                    for n in range(300)
                ]
            )
        catalog.calibrate(minimum=50_000)
        before = catalog.search("rain", modality="image", limit=3).significances
        assert not np.isnan(before).any()
        with pytest.raises(InvalidInput, match="nothing of space 'hash' could be calibrated"):
            catalog.calibrate(minimum=10**9)
        with pytest.raises(NotFound, match="no-such"):
            catalog.calibrate(judged=[(ItemRef("no-such"), {"i0": 1})], minimum=50_000)
        with pytest.raises(InvalidInput, match="too few"):
            catalog.calibrate(judged=[(Text("rain"), {"i0": 1})], minimum=50_000)
        after = catalog.search("rain", modality="image", limit=3).significances
        assert np.array_equal(before, after)


@pytest.mark.parametrize("sample", [0, 1, -5])
def test_a_sample_of_nothing_is_refused(calibrated: Catalog, sample: int) -> None:
    with pytest.raises(InvalidInput, match="at least 2"):
        calibrated.health(sample=sample)
    with pytest.raises(InvalidInput, match="at least one pair"):
        calibrated.calibrate(pairs=min(sample, 0))
