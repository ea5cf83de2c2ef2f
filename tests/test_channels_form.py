"""The form that goes to the provider says exactly what was meant, whatever characters it holds."""

from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from outreach.channels.twilio import encode_form

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@given(st.dictionaries(st.sampled_from(["To", "Body", "From", "StatusCallback"]), TEXT))
def test_a_form_is_read_back_as_it_was_written(form: dict[str, str]) -> None:
    assert dict(parse_qsl(encode_form(form).decode("ascii"), keep_blank_values=True)) == form


def test_what_looks_quoted_already_is_not_taken_for_it() -> None:
    assert dict(parse_qsl(encode_form({"Body": "100%41 + A&B=C"}).decode())) == {"Body": "100%41 + A&B=C"}
