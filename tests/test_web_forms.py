"""What people fill in: whatever is posted, it is read without failing, bounded and tidy."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.web import forms

POINT = st.tuples(st.integers(0, forms.WIDTH), st.integers(0, forms.HEIGHT)).map(list)
NAMES = ("enterprise", "all", "signer", "capacity", "relation", "agree", "honour", "ink", "one_time_code", "reason")
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4), max_leaves=30)


@st.composite
def drawings(draw: st.DrawFn) -> list[Any]:
    """A drawing as the page makes it: its points in the order of time."""
    shapes = draw(st.lists(st.lists(POINT, min_size=1, max_size=20), min_size=1, max_size=6))
    times = iter(sorted(draw(st.lists(st.integers(0, forms.LONGEST_DRAWING), min_size=200, max_size=200))))
    return [[[*point, next(times)] for point in shape] for shape in shapes]


@settings(max_examples=60)
@given(drawings())
def test_a_drawing_comes_back_as_it_was_drawn(drawing: list[Any]) -> None:
    assert forms.strokes(json.dumps(drawing)) == drawing


@settings(max_examples=150)
@given(JSON)
def test_whatever_is_no_drawing_is_none(value: Any) -> None:
    found = forms.strokes(json.dumps(value))
    assert found is None or all(len(point) == 3 for stroke in found for point in stroke)


@settings(max_examples=100)
@given(st.text(max_size=300), st.integers(1, 100))
def test_tidying_makes_one_bounded_line_and_does_nothing_the_second_time(written: str, most: int) -> None:
    tidy = forms.tidied(written, most)
    assert len(tidy) <= most
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in tidy)
    assert forms.tidied(tidy, most) == tidy.strip()


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(NAMES), st.lists(st.text(max_size=60), max_size=3)))
def test_any_form_is_read_and_signs_only_with_a_name_a_capacity_and_the_tick(fields: dict[str, list[str]]) -> None:
    form = forms.of_signing(fields)
    if not form.faults:
        assert form.signer and form.capacity in ("legal_representative", "principal", "agent") and form.agree
    forms.of_declining(fields)


@pytest.mark.parametrize(("typed", "digits"), [("482916", "482916"), (" 482 916 ", "482916"), ("４８２９１６", "482916"), ("48-29-16", "482916"), ("abc", "")])
def test_a_one_time_code_is_read_however_it_is_typed(typed: str, digits: str) -> None:
    assert forms.of_signing({"one_time_code": [typed]}).one_time_code == digits
