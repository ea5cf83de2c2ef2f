"""What people type into lists, and what of it is kept."""

import unicodedata

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType
from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from outreach.contacts import cleaning
from outreach.contacts.cleaning import Unclean

CODE = "91110000600037341L"
"""The example of python-stdnum's documentation."""
DIRTY = st.text(st.characters(exclude_categories=()), max_size=30) | st.text("０１２３ａＡ　 \t\u200b\u202e'=\"-无N/A張三1380+", max_size=20)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("13800138000", "+8613800138000"),
        (" 138 0013 8000 ", "+8613800138000"),
        ("138-0013-8000", "+8613800138000"),
        ("138—0013—8000", "+8613800138000"),
        ("１３８００１３８０００", "+8613800138000"),
        ("138\u200b00138000", "+8613800138000"),
        ("\u202a13800138000\u202c", "+8613800138000"),
        ("'13800138000", "+8613800138000"),
        ('="13800138000"', "+8613800138000"),
        ("13800138000.0", "+8613800138000"),
        ("8613800138000", "+8613800138000"),
        ("+8613800138000", "+8613800138000"),
        ("+86-13800138000", "+8613800138000"),
        ("＋８６－138 0013 8000", "+8613800138000"),
        ("(+86)13800138000", "+8613800138000"),
        ("0086 138 0013 8000", "+8613800138000"),
        ("013800138000", "+8613800138000"),
        ("+852 9123 4567", "+85291234567"),
        ("0085291234567", "+85291234567"),
        ("+1 202-555-0143", "+12025550143"),
        ("", ""),
        ("  ", ""),
        ("无", ""),
        ("/", ""),
        ("N/A", ""),
    ],
)
def test_a_mobile_is_kept_in_e164_however_it_was_typed(typed: str, kept: str) -> None:
    assert cleaning.phone(typed) == kept


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("1.38E+10", "phone_scientific"),
        ("１．３８Ｅ＋１０", "phone_scientific"),
        ("1.3800138E+10", "phone_scientific"),
        ("1.38e10", "phone_scientific"),
        ("'1.38E+10", "phone_scientific"),
        ("8.61E+12", "phone_scientific"),
        ("0574-63000000", "phone"),
        ("057463000000", "phone"),
        ("63000000", "phone"),
        ("400-820-8820", "phone"),
        ("1380013800", "phone"),
        ("138001380001", "phone"),
        ("12345678901", "phone"),
        ("110", "phone"),
        ("138****8000", "phone"),
        ("13800138000转8001", "phone"),
        ("13800138000 ext 1", "phone"),
        ("13800138000/13900139000", "phone"),
        ("13800138000、13900139000", "phone"),
        ("1800FLOWERS", "phone"),
        ("+0013800138000", "phone"),
        ("张三", "phone"),
        ("13800138000.5", "phone"),
        ("9" * 400, "phone"),
    ],
)
def test_what_is_no_mobile_is_refused_with_its_reason(typed: str, reason: str) -> None:
    with pytest.raises(Unclean) as refused:
        cleaning.phone(typed)
    assert refused.value.reason == reason


def is_mobile(digits: str) -> bool:
    try:
        number = phonenumbers.parse(digits, "CN")
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.number_type(number) in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


def is_kept(typed: str) -> bool:
    try:
        return cleaning.phone(typed) == "+86" + typed
    except Unclean:
        return False


@given(st.from_regex(r"1[0-9]{10}", fullmatch=True))
@example("16100000000")
@example("17400500000")
@example("17406000000")
def test_the_short_way_for_plain_numbers_agrees_with_phonenumbers(digits: str) -> None:
    assert is_kept(digits) == is_mobile(digits)


def test_every_prefix_of_five_digits_agrees_with_phonenumbers_at_both_ends() -> None:
    odd = [n for n in range(13000, 20000, 7) for tail in ("000000", "999999") if is_kept(f"{n}{tail}") != is_mobile(f"{n}{tail}")]
    assert odd == []


@given(DIRTY)
def test_a_cleaned_phone_is_a_valid_number_and_cleans_to_itself(typed: str) -> None:
    try:
        kept = cleaning.phone(typed)
    except Unclean:
        return
    assert cleaning.phone(kept) == kept
    assert not kept or phonenumbers.is_valid_number(phonenumbers.parse(kept, None))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("　示例市　ＡＢＣ五金厂　", "示例市 ABC五金厂"),
        ("示例（慈溪）有限公司", "示例(慈溪)有限公司"),
        ("张　三", "张三"),
        ("欧阳 娜娜", "欧阳娜娜"),
        ("John  Smith", "John Smith"),
        ("示例\u202e厂\u200b\x00\x07", "示例厂"),
        ("示例\r\n厂", "示例厂"),
        ("\ufeff示例厂", "示例厂"),
        ("'=示例厂", "=示例厂"),
        ("𠮷野家", "𠮷野家"),
        ("\ue863", "\ue863"),
        ("龑", "龑"),
        ("暂无", ""),
    ],
)
def test_names_are_narrowed_trimmed_and_free_of_what_does_not_print(typed: str, kept: str) -> None:
    assert cleaning.name(typed) == kept


@given(DIRTY)
@example("e\u200d\u0301")
@example("'=\"'1\"")
@example("ﷺ")
@example("\u00a8 張 \u3000三")
def test_cleaning_twice_changes_nothing(typed: str) -> None:
    for clean in (cleaning.text, cleaning.known, cleaning.name):
        assert clean(clean(typed)) == clean(typed)


@given(DIRTY)
def test_nothing_that_controls_or_hides_gets_in(typed: str) -> None:
    kept = cleaning.name(typed)
    assert not {unicodedata.category(character) for character in kept} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert kept == kept.strip()
    assert "  " not in kept


@pytest.mark.parametrize(
    "typed",
    [CODE, CODE.lower(), f" {CODE} ", f"'{CODE}", "９１１１００００６０００３７３４１Ｌ", "9111 0000 6000 3734 1L", "91110000-600037341L", f"{CODE}\u200b"],
)
def test_a_credit_code_is_kept_whole_and_upper_case(typed: str) -> None:
    assert cleaning.credit_code(typed) == CODE


@pytest.mark.parametrize(
    "typed",
    [CODE[:-1], CODE[:-1] + "A", CODE + "1", "91110000600037314L", "9111000060003734IL", "911100006000373410", "9.1E+17", "330282000012345", "统一代码"],
)
def test_a_credit_code_that_cannot_be_one_is_refused(typed: str) -> None:
    with pytest.raises(Unclean) as refused:
        cleaning.credit_code(typed)
    assert refused.value.reason == "credit_code"


def with_check_character(body: str) -> str:
    return body + cleaning.check_character(body)


BODIES = st.from_regex(r"[1-9][0-9]{7}[0-9ABCDEFGHJKLMNPQRTUWXY]{9}", fullmatch=True)


@given(BODIES, st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXYIOSVZ"))
def test_codes_that_begin_with_digits_agree_with_python_stdnum(body: str, last: str) -> None:
    def ours(code: str) -> bool:
        try:
            return bool(cleaning.credit_code(code))
        except Unclean:
            return False

    def theirs(code: str) -> bool:
        try:
            return bool(uscc.validate(code))
        except ValidationError:
            return False

    assert ours(body + last) == theirs(body + last)
    assert theirs(with_check_character(body))


@pytest.mark.parametrize("body", ["N2330282MF1234567", "Y1330282MF1234567", "A1100000MB0000001"])
def test_registering_authorities_that_are_letters_are_known(body: str) -> None:
    assert cleaning.credit_code(with_check_character(body)) == with_check_character(body)


@given(BODIES, st.integers(0, 17), st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"))
def test_one_wrong_character_of_a_code_is_always_found(body: str, place: int, other: str) -> None:
    code = with_check_character(body)
    spoilt = code[:place] + other + code[place + 1 :]
    if spoilt != code:
        with pytest.raises(Unclean):
            cleaning.credit_code(spoilt)


def test_yes_and_no_are_truth_and_other_words_are_refused() -> None:
    assert [cleaning.yes_no(word) for word in ("yes", "no", "是", "否", "")] == [True, False, True, False, None]
    with pytest.raises(Unclean):
        cleaning.yes_no("也许")


def test_a_rank_is_a_whole_number() -> None:
    assert [cleaning.whole_number(word) for word in ("0", "２", " ")] == [0, 2, None]
    for word in ("1.5", "-1", "第一", "99999"):
        with pytest.raises(Unclean):
            cleaning.whole_number(word)
