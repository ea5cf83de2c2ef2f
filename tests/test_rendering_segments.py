"""How long a text is on the air."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.rendering.segments import GSM_BASIC, GSM_EXTENSION, Measure, measure, segments, sms_text

GSM = "".join(sorted(GSM_BASIC | GSM_EXTENSION))
texts = st.one_of(
    st.text(alphabet=GSM, max_size=400),
    st.text(alphabet=st.sampled_from("a€[中😀𠮷"), max_size=200),
    st.builds(lambda part, times: part * times, st.text(alphabet="ab€中😀", min_size=1, max_size=5), st.integers(0, 120)),
    st.text(max_size=160),
)


def parts_by_hand(text: str) -> list[str]:
    """Fill one part after another, as a telephone engineer would on paper."""
    if all(character in GSM for character in text):
        width, one, room = (lambda c: 2 if c in "\f^{}\\[~]|€" else 1), 160, 153
    else:
        width, one, room = (lambda c: len(c.encode("utf-16-be", "surrogatepass")) // 2), 70, 67
    if sum(map(width, text)) <= one:
        return [text] if text else []
    parts = [""]
    for character in text:
        if sum(map(width, parts[-1])) + width(character) > room:
            parts.append("")
        parts[-1] += character
    return parts


@settings(max_examples=150, deadline=None)
@given(texts)
def test_the_count_is_that_of_parts_filled_by_hand(text: str) -> None:
    assert segments(text) == len(parts_by_hand(text)) == measure(text).segments
    assert "".join(parts_by_hand(text)) == text


@settings(max_examples=150, deadline=None)
@given(texts, texts)
def test_a_longer_text_never_needs_fewer_parts(one: str, other: str) -> None:
    assert segments(one + other) >= max(segments(one), segments(other))


@pytest.mark.parametrize(
    ("text", "units", "encoding", "parts"),
    [
        ("", 0, "GSM-7", 0),
        ("a" * 160, 160, "GSM-7", 1),
        ("a" * 161, 161, "GSM-7", 2),
        ("a" * 306, 306, "GSM-7", 2),
        ("a" * 307, 307, "GSM-7", 3),
        ("€" * 80, 160, "GSM-7", 1),
        ("€" * 81, 162, "GSM-7", 2),
        ("€" * 153, 306, "GSM-7", 3),  # an odd part of 153 cannot hold half an escape: 76 + 76 + 1
        ("ç", 1, "UCS-2", 1),  # GSM 03.38 has the capital Ç only
        ("`", 1, "UCS-2", 1),
        ("\t", 1, "UCS-2", 1),
        ("中" * 70, 70, "UCS-2", 1),
        ("中" * 71, 71, "UCS-2", 2),
        ("中" * 134, 134, "UCS-2", 2),
        ("中" * 135, 135, "UCS-2", 3),
        ("😀" * 35, 70, "UCS-2", 1),
        ("😀" * 67, 134, "UCS-2", 3),  # 33 + 33 + 1: a pair is not cut in two
        ("a" * 69 + "中", 70, "UCS-2", 1),
        ("\ud800中", 2, "UCS-2", 1),  # a lone surrogate is counted, not stumbled over
    ],
)
def test_the_limits_of_a_part(text: str, units: int, encoding: str, parts: int) -> None:
    assert measure(text) == Measure(units, encoding, parts)
    assert segments(text) == parts


def test_the_signature_counts() -> None:
    assert sms_text("示例人社", "您好") == "【示例人社】您好"
    assert segments(sms_text("示例人社", "a" * 64)) == 1
    assert segments(sms_text("示例人社", "a" * 65)) == 2
