"""One self-contained HTML page with the demo's questions and answers, to look at and listen to.

Everything that comes from files or from the store is escaped: titles and texts are not trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path

from trichord.demo.page_style import SCRIPT, STYLE
from trichord.demo.questions import Answer, Row, Score, Section, Shown
from trichord.demo.tiles import SoundTile, excerpt, picture_uri, sound_tile
from trichord.errors import TrichordError
from trichord.results import Stats
from trichord.types import Item, Modality

NAMES = {
    "text": "text", "image": "picture", "audio": "sound", "entity": "entity", "tape": "a tape",
    "talk": "a talk", "mix": "picture + sound", "any": "any of the three",
}  # fmt: skip

ABOUT = {
    Section.CONTENT: (
        "By content",
        "A sentence, a picture or a sound, sent with the question, asks for the stored texts, "
        "pictures and sounds nearest to it. A stored file that asks is left out of its answer.",
    ),
    Section.ITEM: (
        "By a stored item",
        "What is similar to this item? The item itself is left out; the other items of its own "
        "entity are not.",
    ),
    Section.ENTITY: (
        "By an entity",
        "The mean direction of all that belongs to one entity. Its own items are left out, so "
        "what comes is another entity's.",
    ),
    Section.FILTER: (
        "With filters",
        "The same questions, but only what passes the filter may answer. No hit may break it.",
    ),
    Section.MOMENT: (
        "A moment in time",
        "Long recordings and subtitles have a vector per span, so a hit names the time to jump "
        "to. A recording here plays from the time that was found.",
    ),
    Section.MIX: (
        "Two things at once",
        "A picture of one thing plus the sound of another, added with equal weights.",
    ),
}


@dataclass(frozen=True)
class Contents:
    """What the page tells: `headline` and `lead` are plain text; `answers` are those to show, in
    order; `scores` of all that were asked; `items` are the stored items that appear."""

    headline: str
    lead: str
    stats: Stats
    answers: Sequence[Answer]
    scores: Sequence[Score] = ()
    items: Mapping[str, Item] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write_page(path: Path, contents: Contents) -> int:
    """Writes the page and returns its size in bytes."""
    data = page(contents).encode()
    path.write_bytes(data)
    return len(data)


def page(contents: Contents) -> str:
    """The page as one string of HTML that refers to nothing outside itself."""
    made = _Maker(contents)
    sections = [
        made.section(section, list(answers))
        for section, answers in groupby(contents.answers, lambda answer: answer.question.section)
    ]
    notes = "".join(f"<p>{escape(note)}</p>" for note in contents.notes)
    headline, lead = escape(contents.headline), escape(contents.lead)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{headline}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{headline}</h1>
<p class="lead">{lead}</p>
{_facts(contents.stats)}
{_matrix(contents.scores, Section.CONTENT)}
</header>
<main>
{"".join(sections)}
</main>
<footer>{notes}</footer>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _facts(stats: Stats) -> str:
    shown = [("entities", stats.entities)]
    plural = {"text": "texts", "image": "pictures", "audio": "sounds"}
    shown += [(plural[name], stats.items[name]) for name in plural if name in stats.items]
    shown.append(("segments with a vector", stats.segments))
    parts = [f"<div><dt>{escape(n)}</dt><dd>{count:,}</dd></div>" for n, count in shown]
    return f'<dl class="facts">{"".join(parts)}</dl>'


def _matrix(scores: Sequence[Score], section: Section) -> str:
    """Rows: what is asked with; columns: what is found."""
    cells = {score.direction[1:]: score for score in scores if score.direction[0] is section}
    if not cells:
        return ""
    order = ("text", "image", "audio")
    head = "".join(f'<th scope="col">find a {NAMES[wants]}</th>' for wants in order)
    rows = []
    for asks in order:
        row = [f'<th scope="row">ask with a {NAMES[asks]}</th>']
        for wants in order:
            score = cells.get((asks, wants))
            row.append("<td>–</td>" if score is None else f"<td>{_cell(score)}</td>")
        rows.append(f"<tr>{''.join(row)}</tr>")
    return (
        '<div class="scroll"><table><caption>Questions with a right answer: first, and among the '
        f"first three</caption><thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(score: Score) -> str:
    fails = "" if score.passed else ' class="short"'
    return (
        f'<a href="#{_anchor(score.direction)}"><span{fails}>{score.first} of {score.asked}</span>'
        f"</a> <small>{score.near} in three</small>"
    )


def _anchor(direction: tuple[Section, str, str]) -> str:
    return escape("-".join(direction), quote=True)


class _Maker:
    """Makes tiles, each stored item's only once."""

    def __init__(self, contents: Contents) -> None:
        self._items = contents.items
        self._scores = {score.direction: score for score in contents.scores}
        self._pictures: dict[str, str] = {}
        self._sounds: dict[tuple[str, int], SoundTile] = {}

    def section(self, section: Section, answers: Sequence[Answer]) -> str:
        title, about = ABOUT[section]
        parts = [
            self._direction(direction, list(given))
            for direction, given in groupby(answers, lambda answer: answer.question.direction)
        ]
        return (
            f'<section id="{section}"><h2>{escape(title)}</h2><p>{escape(about)}</p>'
            f"{''.join(parts)}</section>"
        )

    def _direction(self, direction: tuple[Section, str, str], answers: Sequence[Answer]) -> str:
        section, asks, wants = direction
        names = [escape(NAMES.get(name, name)) for name in (asks, wants)]
        if section in (Section.FILTER, Section.MOMENT):
            heading = names[1].capitalize() if section is Section.MOMENT else "Filtered"
        else:
            heading = f'{names[0].capitalize()} <span class="to">→</span> {names[1]}'
        score = self._scores.get(direction)
        tally = ""
        if score is not None:
            said = f"{score.asked} asked: {score.near} with a right answer among the first three"
            if section is Section.MIX:
                said = f"{score.asked} asked: {score.near} found both things"
            elif score.first:
                said += f", {score.first} first"
            tally = f'<p class="tally">{escape(said)}</p>'
        asked = "".join(self._ask(answer) for answer in answers)
        return (
            f'<div class="direction" id="{_anchor(direction)}"><h3>{heading}</h3>'
            f"{tally}{asked}</div>"
        )

    def _ask(self, answer: Answer) -> str:
        question = answer.question
        shown = "".join(self._shown(one) for one in question.shown)
        where = f'<code class="where">{escape(question.where)}</code>' if question.where else ""
        hits = "".join(self._hit(row, number) for number, row in enumerate(answer.rows, 1))
        pair = " pair" if len(question.shown) == 2 else ""
        if not hits:
            hits = '<li class="none">Nothing passes.</li>'
        return (
            f'<article class="ask"><div><div class="question{pair}">{shown}</div>{where}</div>'
            f'<ol class="hits">{hits}</ol></article>'
        )

    def _shown(self, shown: Shown) -> str:
        kind, caption = "", escape(shown.caption)
        bare = not caption and shown.modality is Modality.TEXT
        label = "" if bare else f'<p class="label">{caption}</p>'
        key = shown.item_id or f"asked {id(shown)}"
        if shown.item_id:
            tile = self._stored(shown.item_id, shown.modality, None, None, None)
        elif shown.modality is Modality.TEXT:
            kind, tile = "said", _words(shown.text)
        elif shown.modality is Modality.IMAGE:
            tile = self._picture(key, lambda: shown.data, shown.caption)
        else:
            tile = self._sound(key, 0, lambda: shown.data, shown.caption)
        return f'<div class="{kind}">{label}{tile}</div>'

    def _hit(self, row: Row, number: int) -> str:
        tile = self._stored(row.item_id, row.modality, row.start_ms, row.start_char, row.end_char)
        title = str(row.attributes.get("title") or row.item_id)
        more = [str(row.attributes[n]) for n in ("market", "year") if n in row.attributes]
        facts = " · ".join([f"{row.score:.2f}", *more])
        span = ""
        if row.start_ms is not None and row.end_ms is not None and not self._whole(row):
            times = f"{_clock(row.start_ms)}–{_clock(row.end_ms)}"
            span = f' · <span class="span">{times}</span>'
        mark = ' class="right"' if row.right else ""
        return (
            f'<li><figure{mark}>{tile}<figcaption><span class="title">{escape(title)}</span>'
            f'<span class="more" aria-label="rank {number}">{escape(facts)}{span}</span>'
            "</figcaption></figure></li>"
        )

    def _whole(self, row: Row) -> bool:
        """A span worth no mention: the only one of its item."""
        item = self._items.get(row.item_id)
        return item is not None and item.segments == 1

    def _stored(
        self,
        item_id: str,
        modality: Modality,
        start_ms: int | None,
        start_char: int | None,
        end_char: int | None,
    ) -> str:
        item = self._items.get(item_id)
        if item is None:
            return _words(item_id)
        if modality is Modality.TEXT:
            return _words(excerpt(item.text or "", start_char, end_char))
        if item.uri is None:
            return _words(item_id)
        path = Path(item.uri)
        if modality is Modality.IMAGE:
            return self._picture(item_id, path.read_bytes, item_id)
        return self._sound(item_id, start_ms or 0, lambda: path, item_id)

    def _picture(self, key: str, read: Callable[[], bytes], name: str) -> str:
        if key not in self._pictures:
            try:
                uri = picture_uri(read())
            except (TrichordError, OSError):
                return _words(f"{name}: cannot be shown")
            self._pictures[key] = uri
        return (
            f'<div class="tile"><img alt="{escape(name)}" src="{self._pictures[key]}" '
            'loading="lazy" decoding="async"></div>'
        )

    def _sound(self, key: str, start_ms: int, read: Callable[[], bytes | Path], name: str) -> str:
        if (key, start_ms) not in self._sounds:
            try:
                made = sound_tile(read(), start_ms)
            except (TrichordError, OSError):
                return _words(f"{name}: cannot be played")
            self._sounds[key, start_ms] = made
        sound = self._sounds[key, start_ms]
        drawn = _drawn(sound.bars)
        return (
            '<div class="tile sound"><svg viewBox="0 0 120 60" preserveAspectRatio="none" '
            f'aria-hidden="true"><path d="{drawn}"/><path class="done" d="{drawn}"/></svg>'
            '<span class="sign" aria-hidden="true"></span>'
            f'<span class="long">{sound.seconds:.1f} s</span>'
            f'<audio controls preload="none" aria-label="play {escape(name)}" '
            f'src="{sound.uri}"></audio></div>'
        )


def _words(text: str) -> str:
    long = " long" if len(text) > 95 else ""
    return f'<div class="tile words{long}"><p>{escape(text)}</p></div>'


def _drawn(bars: Sequence[float]) -> str:
    step = 120 / len(bars)
    parts = []
    for number, height in enumerate(bars):
        x, half = (number + 0.5) * step, max(0.6, 29 * height)
        parts.append(f"M{x:.1f} {30 - half:.1f}V{30 + half:.1f}")
    return "".join(parts)


def _clock(milliseconds: int) -> str:
    minutes, seconds = divmod(milliseconds // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
