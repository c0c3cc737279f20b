"""Text of others cannot steer a terminal."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from pubvec.terminal import drop_controls, printable, printable_json

CONTROLS = "\x00\x07\x08\x1b\x7f\x9b\r\u200e\u202e\u2066\u2069\ufeff\U000e0041"
HOSTILE = st.text(st.one_of(st.characters(), st.sampled_from(CONTROLS + "[]0;31mH")), max_size=60)


def is_safe(text: str) -> bool:
    return all(
        letter in "\n\t"
        or (unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp") and letter not in CONTROLS[7:])
        for letter in text
    )


@given(HOSTILE)
@example("\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J \u202eevil\u202c \r overwritten")
def test_nothing_is_obeyed(text):
    assert is_safe(printable(text)) and is_safe(drop_controls(text))


@given(HOSTILE)
def test_pieces_are_cleaned_as_the_whole(text):
    assert "".join(map(drop_controls, text)) == drop_controls(text)


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Cn", "Co"])))
def test_ordinary_text_stays(text):
    assert printable(text) == drop_controls(text) == text


def test_colors_leave_nothing_behind():
    assert printable("\x1b[1;31mred\x1b[0m\tword\nline") == "red\tword\nline"


@given(st.dictionaries(HOSTILE, HOSTILE, max_size=3))
def test_json_means_the_same(fields):
    text = printable_json(json.dumps(fields, ensure_ascii=False))
    assert json.loads(text) == fields
    assert is_safe(text)
