"""Tokens of many scripts, by hand; and what must hold for any text."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trichord.catalog.words import MAX_TOKEN, asked, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rain, rain -- on 2 WINDOWS!", "rain rain on 2 windows"),
        ("don't AC/DC R&B C++ snake_case", "don t ac dc r b c snake case"),
        ("Größe STRASSE Straße ẞ", "grosse strasse strasse ss"),
        ("Ångström åäö ÅÄÖ", "angstrom aao aao"),
        ("Björk Sigur Rós Þórr Æther œuvre", "bjork sigur ros thorr aether oeuvre"),
        ("Łódź smørrebrød Ǿ ǽ", "lodz smorrebrod o ae"),
        ("Cafe\u0301 caf\u00e9 CAFÉ", "cafe cafe cafe"),
        ("ﬁne ①２３ Ｈｅｌｌｏ ½", "fine 123 hello 1 2"),
        ("İstanbul ISPARTA ısı", "istanbul isparta isi"),
        ("ΑΎΡΙΟ Αύριο ΣΟΦΌΣ σοφός", "αυριο αυριο σοφοσ σοφοσ"),
        ("Ёлка елка ЙОД йод", "елка елка йод йод"),
        ("हिन्दी गीत", "हिन्दी गीत"),
        ("مُوسيقى موسيقى موسيقـى", "موسيقى موسيقى موسيقى"),
        ("שָׁלוֹם שלום", "שלום שלום"),
        ("co\u00adoperate ❤\ufe0f", "cooperate"),
        ("猫", "猫"),
        ("東京tower 2", "tower 2 東 京 東京"),
        ("ﾀﾜｰ", "タ ワ ー タワ ワー"),
        ("音楽・映画", "音 楽 音楽 映 画 映画"),
        ("서울의 밤", "서 울 의 서울 울의 밤"),
        ("ดนตรี", "ด น ต รี ดน นต ตรี"),
        ("ភាសា", "ភា សា ភាសា"),
        ("!!! … ♥ _ \x00", ""),
        ("", ""),
    ],
)
def test_stored(text: str, expected: str) -> None:
    assert sorted(tokens(text)) == sorted(expected.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the rain the RAIN", "rain the"),
        ("東京の夜", "の夜 京の 東京"),
        ("猫", "猫"),
        ("猫 と 東京x", "x と 東京 猫"),
        ("ดนตรี", "ดน ตรี นต"),
        ('"rain" AND -window OR +sun*', "and or rain sun window"),
        ("?!", ""),
    ],
)
def test_asked(text: str, expected: str) -> None:
    assert asked(text) == expected.split()


@pytest.mark.parametrize(
    ("title", "part"),
    [
        ("東京タワーの夜景", "タワー"),
        ("東京タワーの夜景", "夜"),
        ("静かな雨の音楽", "雨"),
        ("我爱北京天安门", "天安门"),
        ("我爱北京天安门", "爱"),
        ("เสียงดนตรีไทย", "ดนตรี"),
        ("봄날의 노래", "노래"),
    ],
)
def test_any_part_of_a_title_without_spaces_is_found(title: str, part: str) -> None:
    assert set(asked(part)) <= set(tokens(title)) and asked(part)


def test_long_words_count_by_their_beginning() -> None:
    long = "x" * 500
    assert tokens(long) == ["x" * MAX_TOKEN] == asked(long + "y")
    pile = "e" + "\u0335" * 500 + "東" + "\u3099" * 500 + "京"
    assert all(len(token) <= MAX_TOKEN for token in tokens(pile))


LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TRICKY = st.text(st.sampled_from("aA1 -_éÉß\u0301\u0308\u3099ｶ゛カが東京ดีИй\u0306ǆﷺ\u200d\ufe0f"))


@given(LETTERS | TRICKY)
def test_what_holds_for_any_text(text: str) -> None:
    found = tokens(text)
    # The same text in another of Unicode's forms is the same text.
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert sorted(tokens(unicodedata.normalize(form, text))) == sorted(found)
    # Who asks with a stored text finds it, and by nothing that is not in it.
    assert set(asked(text)) <= set(found)
    assert bool(asked(text)) == bool(found)
    # Tokens are stable: they are their own tokens, or the parts of pairs.
    for token in found:
        assert token and len(token) <= MAX_TOKEN
        assert set(asked(token)) <= {token, *tokens(token)}


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii(text: str) -> None:
    words = re.findall("[a-z0-9]+", text.lower())
    assert tokens(text) == [word[:MAX_TOKEN] for word in words]
    # The short way for ASCII gives what the long way gives.
    assert sorted(tokens(text + " 東")) == sorted([*tokens(text), "東"])


@given(LETTERS, LETTERS)
def test_texts_do_not_run_into_each_other(one: str, other: str) -> None:
    assert sorted(tokens(f"{one}\n{other}")) == sorted(tokens(one) + tokens(other))
