"""Numbers in cards: the value, and the precision it was written with."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Literal, NamedTuple

from msgspec.structs import replace

from cardproof.core.types import Number

Kind = Literal["count", "bytes", "plain"]

_NUMBER = re.compile(
    r"""\s*+(?P<sign>[-+−]?)\s*+
    (?P<whole>\d{1,3}(?:[,_ \u00a0\u2009\u202f'’]\d{3})+|\d+)?
    (?:\.(?P<fraction>\d*))?
    (?:[eE](?P<exponent>[-+]?\d{1,3}))?
    \s*+(?P<unit>[^\d\s].*)?""",
    re.VERBOSE,
)
_ABOUT = re.compile(r"\s*+(?:\\?[~≈∼]|(?:about|approximately|approx\.?|circa|ca\.)(?=[\s\d]))\s*+", re.IGNORECASE)
_WRITTEN = re.compile(r"(\s*+)((?:[,_ ]*+\d)+)(\.\d+)?+(\s*+[A-Za-z%][\w%-]*+)?(\s*+)")
"""A number in the style that a fix keeps."""
_TWO = re.compile(
    r"(?P<left>[\d.]\S{0,20}?(?: [A-Za-z%]{1,10})?) ?(?P<sign>±|\+/-|\+-|–|—|-| to ) ?(?P<right>\d.{0,30})"
)
"""Two numbers with a sign between them: a tolerance or a range."""
MAX_TEXT = 100
"""Characters of a number; a longer text is not looked at."""
LARGEST, FINEST = Decimal(10) ** 20, Decimal(10) ** -20
"""What a network has is smaller, and no unit of a last digit is finer: other numbers are not looked at."""
ROUNDED_ZEROS = 3
"""A whole number with so many trailing zeros counts as rounded: one exact count in a thousand ends in three."""

SMALLEST_SHARE = Decimal("0.001")
"""Of its unit, below which a count is not written in it."""

MOST_OFF = 5
"""Thousandths of a count by which what is written for it may be off."""

SURE_DIGITS = 3
"""Digits of a whole number with a unit that are significant even if they are zeros: ``1,690 M`` may be 1.69 G."""

_SI = {"k": 3, "m": 6, "g": 9, "t": 12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
MULTIPLY_ADDS = ("macs", "mac", "madds", "multiply-adds", "mult-adds")
"""Units of a count that are multiply-adds, even if the field says otherwise."""
_UNITS_OF = {
    "flops": ("flops", "flop", *MULTIPLY_ADDS, "ops"),
    "parameters": ("params", "parameters", "param"),
}
"""Kind of a field -> units of its count; without one, a count is of its field."""
_COUNT_UNITS = (*_UNITS_OF["flops"][:-1], *_UNITS_OF["parameters"], "ops", "")


def parse_number(text: str, kind: Kind = "plain", scale: str = "") -> Number | None:
    """Parse a number; None if the text is not one.

    ``kind`` decides what a suffix means: in a count ``M`` and ``B`` are 10^6 and 10^9, in bytes ``B`` is the unit and
    ``MiB`` is 2^20 bytes. ``scale`` is a prefix in the field's name (``Params (M)``). Trailing zeros of a whole number
    are not significant in counts and bytes: ``24670000`` and ``24.67M`` both have four digits, ``1690M`` has three. But
    many exact counts end in one or two of them: ``4172677120`` is exact.
    """
    match = _NUMBER.fullmatch(text) if len(text) <= MAX_TEXT else None
    if not match or not (match["whole"] or match["fraction"]):
        return None
    if re.match(r"0\D", match["whole"] or ""):
        return None  # 0,900 does not group thousands
    whole = re.sub(r"\D", "", match["whole"] or "0")
    fraction = match["fraction"] or ""
    power = int(match["exponent"] or 0)
    try:
        value = Decimal(f"{'-' if match['sign'] in ('-', '−') else ''}{whole}.{fraction or '0'}").scaleb(power)
        quantum = Decimal(1).scaleb(power - len(fraction))
    except InvalidOperation:
        return None
    if re.match(r"[,.'’]", match["unit"] or ""):
        return None  # 78,5: a comma for the decimal point, or thousands in groups of another length
    suffix = _factor_and_unit((match["unit"] or "").rstrip(), kind)
    if suffix is None:
        return None
    factor, unit = suffix
    if scale and factor == 1:
        factor = Decimal(10) ** _SI[scale.lower()]
    elif kind != "plain" and not fraction and factor == 1 and not match["exponent"] and value:
        zeros = len(whole) - len(whole.rstrip("0"))
        quantum = Decimal(1).scaleb(zeros if zeros >= ROUNDED_ZEROS else 0)
    elif kind == "count" and not fraction and factor != 1 and len(whole) > SURE_DIGITS:
        zeros = min(len(whole) - len(whole.rstrip("0")), len(whole) - SURE_DIGITS)
        quantum = Decimal(1).scaleb(zeros)
    if abs(value * factor) >= LARGEST or quantum * factor < FINEST:
        return None
    return Number(value * factor, quantum * factor, unit)


def parse_stated(text: str, kind: Kind = "plain", scale: str = "") -> Number | None:
    """Parse a number, possibly after "about"; None for other texts and for limits (``<``, ``up to``)."""
    match = _ABOUT.match(text) if len(text) <= MAX_TEXT else None
    number = parse_number(text[match.end() :] if match else text, kind, scale)
    return replace(number, about=True) if number and match else number


def is_of_another_count(number: Number, field: str) -> bool:
    """Return whether a count has the unit of another one: parameters in MACs, multiply-adds in parameters."""
    unit = number.unit.lower()
    return bool(unit) and field in _UNITS_OF and unit not in _UNITS_OF[field]


def parse_approximate(text: str, kind: Kind = "plain", scale: str = "") -> Number | None:
    """Parse a number, or one with a tolerance (``44.5 ± 0.1M``), or in a count a range (``16-17M``); None otherwise.

    The value of a range is its middle. The quantum of both is their width and one unit of the last digit.
    """
    if (number := parse_number(text, kind, scale)) is not None:
        return number
    match = _TWO.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        return None
    left, right = match["left"], match["right"]
    units = [found["unit"] or "" if (found := _NUMBER.fullmatch(part)) else "" for part in (left, right)]
    first = parse_number(left if units[0] else left + units[1], kind, scale)
    second = parse_number(right if units[1] else right + units[0], kind, scale)
    if first is None or second is None or first.unit.lower() != second.unit.lower():
        return None
    last = max(first.quantum, second.quantum)
    if match["sign"] in ("±", "+/-", "+-"):
        return Number(first.value, 2 * second.value + last, first.unit)
    if kind != "count" or not 0 < first.value < second.value:
        return None
    return Number((first.value + second.value) / 2, second.value - first.value + last, first.unit)


def has_own_scale(text: str) -> bool:
    """Return whether a count has a prefix or an exponent of its own: ``9.9K``, ``1.2e6``, ``16-17M``."""
    if pair := _TWO.fullmatch(text) if len(text) <= MAX_TEXT else None:
        return any(has_own_scale(pair[side]) for side in ("left", "right"))
    match = _NUMBER.fullmatch(text) if len(text) <= MAX_TEXT else None
    suffix = _factor_and_unit((match["unit"] or "").rstrip(), "count") if match else None
    return match is not None and (bool(match["exponent"]) or (suffix is not None and suffix[0] != 1))


def _factor_and_unit(text: str, kind: Kind) -> tuple[Decimal, str] | None:
    """Return factor and unit of a suffix; None if the unit is unknown."""
    if kind == "plain":
        return Decimal(1), text
    lower = text.lower().strip()
    if kind == "bytes" and re.fullmatch(r"[KMGT]b", text):
        return None  # bits, or bytes: nobody can say
    if kind == "bytes":
        lower = lower.removesuffix("bytes").removesuffix("byte").strip() if "byte" in lower else lower.removesuffix("b")
        if lower in _BINARY:
            return Decimal(_BINARY[lower]), "B"
        return (Decimal(10) ** _SI[lower] if lower else Decimal(1), "B") if lower in {*_SI, ""} else None
    for unit in _COUNT_UNITS:
        prefix = lower.removesuffix(unit).strip() if unit else lower
        if lower.endswith(unit) and prefix in {*_SI, "b", "bn", "million", "billion", ""}:
            power = {"b": 9, "bn": 9, "billion": 9, "million": 6, "": 0}.get(prefix, _SI.get(prefix, 0))
            return Decimal(10) ** power, text[len(text) - len(unit) :] if unit else ""
    return None


def equal_as_written(found: int | float | Decimal, stated: Number) -> bool:
    """Return whether two values are equal at the precision that was written: half a unit both ways."""
    return abs(Decimal(str(found)) - stated.value) * 2 <= stated.quantum


TOO_COARSE, TOO_COARSE_WITH_UNIT = Decimal("0.05"), Decimal("0.1")
"""Half a unit of the last digit, as a share of the measured value, above which equality proves nothing.

``6M`` says that it is rounded, ``6000000`` does not.
"""


def is_coarse(found: int | Decimal, stated: Number, text: str) -> bool:
    """Return whether a count has so few digits that many others equal it as written: ``10000000`` of 11,689,512.

    ``text`` is the count as written.
    """
    plain = None if has_own_scale(text) else parse_number(text, "count")
    is_whole = plain is not None and plain.value == stated.value  # with all its digits, in no unit
    return stated.quantum / 2 > (TOO_COARSE if is_whole else TOO_COARSE_WITH_UNIT) * found


def round_to_digits(value: Decimal, digits: int) -> Decimal:
    """Round to a number of significant digits."""
    if len(value.as_tuple().digits) <= digits:
        return value
    return value and value.quantize(Decimal(1).scaleb(value.adjusted() - digits + 1), ROUND_HALF_EVEN)


def write_like(found: int | float | Decimal, stated: Number, text: str) -> str | None:
    """Write a value in the style and precision of a stated text; None if the style is unknown.

    ``5.40G`` and 4172677120 give ``4.17G``; ``24670000`` and 24671464 give ``24670000``.
    """
    style = _style_of(stated, text)
    if style is None:
        return None
    number = Decimal(str(found))
    unit = max(_last_digit(style), stated.quantum)  # zeros that only pad the cell are not measured digits
    if abs(number / unit) >= Decimal(10) ** 27:
        return None  # more digits than anything has
    scaled = (number / unit).quantize(Decimal(1), ROUND_HALF_EVEN) * unit / style.factor
    return style.before + _with_separators(scaled, style.decimals, style.separator) + style.unit + style.after


class _Style(NamedTuple):
    before: str
    separator: str
    """Between thousands."""
    decimals: int
    unit: str
    """With the blanks before it."""
    after: str
    factor: Decimal
    """Of the unit, in the text or in the head of its column."""


def _style_of(stated: Number, text: str) -> _Style | None:
    """Return how a number is written; None if the digits that were written are not those of the value."""
    match = _WRITTEN.fullmatch(text) if len(text) <= MAX_TEXT else None
    if not match:
        return None
    digits = match[2].lstrip()
    decimals = len(match[3]) - 1 if match[3] else 0
    written = Decimal(re.sub(r"\D", "", digits) + (match[3] or ""))
    factor = stated.value / written if written else stated.quantum.scaleb(decimals)
    if factor not in _BINARY.values() and factor.normalize().as_tuple().digits != (1,):
        return None
    separator = next((mark for mark in ",_ " if mark in digits), "")
    return _Style(match[1], separator, decimals, match[4] or "", match[5], factor)


def _last_digit(style: _Style) -> Decimal:
    return Decimal(1).scaleb(-style.decimals) * style.factor


def _with_separators(number: Decimal, decimals: int, separator: str) -> str:
    return f"{number:,.{decimals}f}".replace(",", separator)


def unit_factor(stated: Number, text: str) -> Decimal | None:
    """Return the factor of a number's unit, which stands in its text or in the head of its column; None if unknown."""
    style = _style_of(stated, text)
    return style and style.factor


def write_count(found: int, stated: Number, text: str, kind: Kind = "count", least: int = 0) -> str | None:
    """Write a count in the style of a stated text, with as many significant digits as that has; None if not possible.

    There are at least three, and all digits if the stated number has all. What is written is within half a per cent of
    the count and equals it at its own precision: if not, more digits are written. ``least`` replaces the number of
    digits. ``2870000000`` and 7978856 give ``7980000``; ``5G`` and 4172677120 give ``4.17G``.
    """
    style = _style_of(stated, text)
    if style is None or found <= 0 or found >= LARGEST:
        return None
    letter = next((name for name, power in _SI.items() if Decimal(10) ** power == style.factor), "")
    scale = letter if not has_own_scale(text) else ""
    padding = 0  # zeros that only pad the cells of a column
    if style.decimals and stated.quantum > _last_digit(style):
        padding = (stated.quantum / _last_digit(style)).adjusted()
    value, all_digits = Decimal(found) / style.factor, len(str(found))
    if value < SMALLEST_SHARE:
        return None
    first = least or (all_digits if stated.quantum <= 1 else max(SURE_DIGITS, stated.digits))
    for digits in range(min(first, all_digits), all_digits + 1):
        rounded = round_to_digits(value, digits)
        decimals = min(max(0, digits - 1 - rounded.adjusted()), max(0, style.factor.adjusted()))
        number = _with_separators(rounded, decimals, style.separator)
        parsed = parse_number(number + style.unit, kind, scale)
        if parsed is None or not equal_as_written(found, parsed):
            continue
        is_precise = parsed.quantum * 10 <= found or digits == all_digits
        if is_precise and abs(parsed.value - found) * 1000 <= found * MOST_OFF:
            number = _with_separators(rounded, decimals + padding, style.separator) if decimals else number
            return style.before + number + style.unit + style.after
    return None


def show_count(value: int | float | Decimal) -> str:
    """Write a number for a reader: with commas between thousands, without superfluous zeros."""
    number = Decimal(str(value))
    if number == number.to_integral_value():
        return f"{int(number):,}"
    return f"{number.normalize():,f}"


UNITS = ((12, "T"), (9, "G"), (6, "M"), (3, "k"))
"""Powers of ten that counts are written with."""


def short_count(value: float | Decimal) -> tuple[str, str]:
    """Write a count with two decimals, and its unit: 24.67 and M, 322 and nothing."""
    number = float(value)
    for power, unit in UNITS:
        if abs(number) >= 10**power - 5 * 10 ** (power - 6):  # what would be written as 1000.00 of the unit below
            return f"{number / 10**power:.2f}", unit
    return f"{number:,.0f}", ""


def short_text(value: float | Decimal) -> str:
    """Write a count and its unit: ``24.67 M``, and small ones in full."""
    return " ".join(filter(None, short_count(value)))
