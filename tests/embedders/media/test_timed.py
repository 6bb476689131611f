from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.embedders.media.text import decode_text
from trichord.embedders.media.timed import Cue, parse_timed
from trichord.errors import InvalidInput, MediaError

SRT = """\ufeff1\r
00:00:01,000 --> 00:00:02,500\r
<i>Hello</i>,\r
world\r
\r
2\r
00:00:02,600 --> 00:01:04,007 X1:10 X2:20 Y1:5 Y2:6\r
{\\an8}a < b > c\r
\r
second part\r
\r
3\r
01:00:00,000 --> 01:00:00,000\r
1984\r
\r
4\r
01:00:01,000 --> 01:00:02,000\r
\r
5\r
100:00:00.5 --> 100:00:01\r
<font color="red">last</font>"""

VTT = """WEBVTT - a title
Kind: captions

NOTE
not spoken
00:00.000 is not a time here

STYLE
::cue { color: red }

REGION
id:fred

intro
00:01.500 --> 00:03.000 align:start position:0%
<v Mary>Hello <b>big</b> <00:02.000>world</v> &amp; more &lt;b&gt;

00:00:02.000 --> 01:00:00.000
- overlapping
- lines

stray words without times
"""


def said(text: str, kind: str) -> list[tuple[int, int, str]]:
    timed = parse_timed(decode_text(text.encode()), kind)
    assert timed.text == "\n".join(timed.text[c.start_char : c.end_char] for c in timed.cues)
    return [(c.start_ms, c.end_ms, timed.text[c.start_char : c.end_char]) for c in timed.cues]


def test_srt() -> None:
    assert said(SRT, "srt") == [
        (1000, 2500, "Hello, world"),
        (2600, 64007, "a < b > c second part"),
        (3_600_000, 3_600_001, "1984"),
        (360_000_500, 360_001_000, "last"),
    ]


def test_vtt() -> None:
    assert said(VTT, "vtt") == [
        (1500, 3000, "Hello big world & more <b>"),
        (2000, 3_600_000, "- overlapping - lines"),
    ]


def test_cues_know_their_characters() -> None:
    timed = parse_timed("00:01 --> 00:02\nab\n\n00:03 --> 00:04\ncde", "srt")
    assert timed.text == "ab\ncde"
    assert timed.cues == (Cue(1000, 2000, 0, 2), Cue(3000, 4000, 3, 6))


def test_numbers_may_lack() -> None:
    text = "00:00:01,000 --> 00:00:02,000\na\n00:00:03,000 --> 00:00:04,000\nb\n"
    assert said(text, "srt") == [(1000, 2000, "a"), (3000, 4000, "b")]


def test_a_vtt_header_may_run_into_the_first_cue() -> None:
    assert said("WEBVTT\n00:01.000 --> 00:02.000\nhi", "vtt") == [(1000, 2000, "hi")]


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("1\n00:00:05,000 --> 00:00:04,000\na", "srt", "line 2: the cue ends before"),
        ("00:05 --> 00:06\na\n\n00:04 --> 00:07\nb", "srt", "line 4: the cue starts before"),
        ("WEBVTT\n\n00:05.000 --> 00:04.000\na", "vtt", "line 3: the cue ends before"),
        ("WEBVTT\n\n00:5 --> 00:06\na", "vtt", "line 3: times that cannot be read"),
        ("WEBVTT\n\na --> b\na", "vtt", "line 3: times that cannot be read"),
        ("1\n00:00:05;000 --> x\na", "srt", "text before|cannot be read"),
        ("1\n00:00:01,000 --> 00:00:99,000\na", "srt", "line 2: minutes and seconds"),
        ("1\n00:99:01,000 --> 01:99:02,000\na", "srt", "line 2: minutes and seconds"),
        ("1\n00:00:01,000 --> later\na", "srt", "line 2: times"),
        ("just words", "srt", "line 1: text before the first cue"),
        ("00:01.000 --> 00:02.000\nhi", "vtt", "line 1: a WebVTT file starts"),
        ("WEBVTT", "vtt", "no cue holds a word"),
        ("1\n00:00:01,000 --> 00:00:02,000\n<i></i>", "srt", "no cue holds a word"),
    ],
)
def test_errors_name_the_line(text: str, kind: str, problem: str) -> None:
    with pytest.raises(MediaError, match=problem):
        parse_timed(text, kind)


def test_an_arrow_in_what_is_said() -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nfrom here --> there\n"
    assert said(text, "srt") == [(1000, 2000, "from here --> there")]


def test_other_formats_are_an_invalid_input() -> None:
    with pytest.raises(InvalidInput):
        parse_timed("a", "txt")


def stamp(milliseconds: int, comma: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{comma}{rest:03}"


words = st.text("abcé世<>& .,!?'-", min_size=1, max_size=20).filter(
    lambda text: text.strip() and "-->" not in text
)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**5), words), min_size=1),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_is_written_is_read(made: list[tuple[int, int, str]], vtt: bool, newline: str) -> None:
    made.sort(key=lambda cue: cue[0])
    blocks = ["WEBVTT"] if vtt else []
    for i, (start, length, spoken) in enumerate(made):
        if vtt:
            spoken = spoken.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        mark = "." if vtt else ","
        times = f"{stamp(start, mark)} --> {stamp(start + length, mark)}"
        blocks.append(f"{i + 1}\n{times}\n{spoken}")
    text = "\n\n".join(blocks).replace("\n", newline)
    expected = [(a, a + n, " ".join(spoken.split())) for a, n, spoken in made]
    assert said(text, "vtt" if vtt else "srt") == expected


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            ["1", "WEBVTT", "", "-->", "00:01.000 --> 00:02.000", "00:00:03,5 --> 00:00:04", "NOTE",
             "<b", ">", "&#99999999;", "&amp;", "&#0;", "{\\x}", "hi", "0:0 -->", "\ufeff", "\t"]
        )
    ),
    st.sampled_from(["srt", "vtt"]),
)  # fmt: skip
def test_nothing_but_media_errors(lines: list[str], kind: str) -> None:
    try:
        timed = parse_timed("\n".join(lines), kind)
    except MediaError:
        return
    for cue in timed.cues:
        assert cue.start_ms < cue.end_ms and timed.text[cue.start_char : cue.end_char].strip()


@pytest.mark.parametrize("piece", ["<", "{\\", "&", "<b ", "&#", "-->", " ", "0", "00:", "</"])
def test_long_nonsense_takes_linear_time(piece: str) -> None:
    # Quadratic time over three million characters would take hours.
    body = piece * (3_000_000 // len(piece))
    for kind, head in (("srt", ""), ("vtt", "WEBVTT\n\n")):
        for text in (body, f"{head}00:01.000 --> 00:02.000\n{body}", f"{head}{body}\n"):
            try:
                parse_timed(text, kind)
            except MediaError:
                continue
