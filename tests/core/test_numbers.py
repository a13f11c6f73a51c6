"""Numbers as cards write them, with the precision they were written with."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardproof.core.numbers import equal_as_written, parse_number, short_text, show_count, write_count, write_like


@pytest.mark.parametrize(
    ("text", "value", "quantum", "digits"),
    [
        ("24670000", 24_670_000, 10_000, 4),
        ("24.67M", 24_670_000, 10_000, 4),
        ("24.60 M", 24_600_000, 10_000, 4),
        ("5396798208", 5_396_798_208, 1, 10),
        ("5,396,798,208", 5_396_798_208, 1, 10),
        ("5 396 798 208", 5_396_798_208, 1, 10),
        ("4.17 GMACs", 4_170_000_000, 10_000_000, 3),
        ("4.2G FLOPs", 4_200_000_000, 100_000_000, 2),
        ("1.2B", 1_200_000_000, 100_000_000, 2),
        ("2.467e7", 24_670_000, 10_000, 4),
        ("20M", 20_000_000, 1_000_000, 2),
        ("322", 322, 1, 3),
        ("4172677120", 4_172_677_120, 1, 10),
        ("69200", 69_200, 1, 5),
        ("1234567000", 1_234_567_000, 1000, 7),
        ("0", 0, 1, 1),
    ],
)
def test_a_count_has_the_precision_it_is_written_with(text, value, quantum, digits):
    number = parse_number(text, "count")
    assert (number.value, number.quantum, number.digits) == (value, quantum, digits)


@pytest.mark.parametrize("text", ["", "abc", "12 apples", "1.2.3", "12-13", "~25M", "1,23", "M", "2 x 3"])
def test_what_is_no_count_is_none(text):
    assert parse_number(text, "count") is None


@pytest.mark.parametrize(
    ("text", "value"), [("678", 678), ("3.4 KB", 3400), ("94.5 MiB", 99090432), ("99 MB", 99_000_000)]
)
def test_bytes_have_decimal_and_binary_prefixes(text, value):
    assert parse_number(text, "bytes").value == value


def test_the_scale_of_a_field_applies_to_numbers_without_their_own():
    assert parse_number("24.67", "count", "M").value == 24_670_000
    assert parse_number("24.67M", "count", "M").value == 24_670_000
    assert parse_number("25", "count", "M").quantum == 1_000_000


def test_a_claim_with_two_decimals_is_compared_at_two_decimals():
    stated = parse_number("78.24%")
    assert equal_as_written(78.238, stated)
    assert equal_as_written(Decimal("78.235"), stated)
    assert not equal_as_written(78.2349, stated)
    assert not equal_as_written(78.25, stated)


def test_an_exact_count_allows_nothing():
    stated = parse_number("322", "count")
    assert equal_as_written(322, stated)
    assert not equal_as_written(321, stated)
    assert not equal_as_written(323, stated)


@given(st.integers(1, 10**13), st.integers(1, 6))
def test_a_count_rounded_to_some_digits_is_equal_at_them(count, digits):
    assert equal_as_written(count, parse_number(f"{count:.{digits - 1}e}", "count"))


@given(st.integers(1000, 10**13))
def test_a_count_that_is_off_by_one_is_not_equal_to_an_exact_claim(count):
    stated = parse_number(str(count), "count")
    if stated.quantum == 1:
        assert not equal_as_written(count + 1, stated)


@pytest.mark.parametrize(
    ("text", "found", "written"),
    [
        ("5396798208", 4172677120, "4172677120"),
        ("5,396,798,208", 4172677120, "4,172,677,120"),
        ("5.40G", 4172677120, "4.17G"),
        ("5.4 GMACs", 4172677120, "4.2 GMACs"),
        ("24670000", 25557032, "25560000"),
        ("61.20%", 61.18, "61.18%"),
    ],
)
def test_a_found_value_is_written_in_the_style_of_the_claim(text, found, written):
    kind = "plain" if "%" in text else "count"
    assert write_like(found, parse_number(text, kind), text) == written


@given(st.integers(1, 10**12), st.sampled_from(["{}", "{:,}", "{:.2e}"]), st.integers(1, 10**12))
def test_what_is_written_in_a_claims_style_is_equal_at_its_precision(stated, style, found):
    text = style.format(stated)
    number = parse_number(text, "count")
    written = write_like(found, number, text)
    if written is not None:
        fixed = parse_number(written, "count")
        assert abs(fixed.value - found) * 2 <= number.quantum


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (322, "322"),
        (999, "999"),
        (24_671_464, "24.67 M"),
        (999_994, "999.99 k"),
        (999_996, "1.00 M"),
        (Decimal("4.17e9"), "4.17 G"),
        (1_906_000_000_000, "1.91 T"),
    ],
)
def test_a_count_is_written_short_with_the_unit_that_leaves_fewer_than_a_thousand(value, written):
    assert short_text(value) == written


def test_numbers_are_shown_with_commas():
    assert show_count(4172677120) == "4,172,677,120"
    assert show_count(Decimal("0.0050")) == "0.005"


@pytest.mark.parametrize(
    ("text", "found", "written"),
    [
        ("2870000000", 7978856, "7980000"),
        ("7980000", 2834161664, "2830000000"),
        ("5G", 4172677120, "4.17G"),
        ("2.87 G", 7978856, "0.00798 G"),
        ("25.6M", 999_600_000, "1000M"),
        ("2870000000", 10_000_400, "10000400"),
        ("26,000,000", 12_345, "12,345"),
        ("11.689512M", 25557032, "25.557032M"),
        ("3.67G", 55_376, None),
    ],
)
def test_a_count_keeps_its_significant_digits_and_not_their_place(text, found, written):
    assert write_count(found, parse_number(text, "count"), text) == written


@given(
    st.sampled_from(["{:d}", "{:,d}", "{:.2f}M", "{:.0f}M", "{:.1f} G", "{:.3f}B", "{:d}000", "{:d}000000 FLOPs"]),
    st.integers(1, 10**7),
    st.integers(1000, 10**12),
)
def test_a_count_that_is_written_is_within_half_a_per_cent_and_confirmed_at_its_digits(form, stated, found):
    text = form.format(stated)
    written = write_count(found, number := parse_number(text, "count"), text)
    if written is None:
        assert found < 10**6
        return
    again = parse_number(written, "count")
    assert equal_as_written(found, again)
    assert abs(again.value - found) * 200 <= found
    assert again.quantum <= found / 10 or again.value == found
    assert write_count(found, again, written) == written or number.quantum <= 1
