"""Values: the bytes of one element's value to its DICOM JSON element (PS3.18 Annex F).

Rule: a converter never raises; what is not valid is kept as well as the JSON
model can hold it.
"""

from base64 import b64encode
from collections.abc import Callable
from struct import Struct
from typing import Any, Final, Protocol

from leadglass.dicom import tags
from leadglass.dicom.charset import Charset
from leadglass.dicom.model import Attributes, JsonElement

Converter = Callable[[bytes, "Context"], JsonElement]
"""Turns the bytes of a value, never empty, into an element."""


class Context(Protocol):
    """What a converter may have to know."""

    charset: Charset
    """The character set in force."""
    is_plain: bool
    """Whether bytes below 80H are always ASCII in it."""
    item: Attributes
    """The data set or item the element is in, as read up to here."""
    root: Attributes
    """The whole data set, as read up to here."""

    def warn(self, text: str) -> None:
        """Note what was wrong and tolerated."""
        ...


_REPRESENTATION: Final = tags.key(tags.PixelRepresentation)
EXACT_INTEGER: Final = 1 << 53
"""Integers from here on are given as strings: JSON readers hold numbers as doubles."""

TEXT_IN_CHARSET: Final = frozenset({"LO", "SH", "UC", "LT", "ST", "UT"})
TEXT_LIST: Final = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "SH", "TM", "UC", "UI"})
TEXT_ONE: Final = frozenset({"LT", "ST", "UT", "UR"})
BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
WORD: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""Bytes of a word, whose order depends on the transfer syntax, in binary values."""
NUMBERS: Final = {
    "US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d", "AT": "HH",
}  # fmt: skip
LONG_FORM: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs with a length of four bytes in Explicit VR (PS3.5 section 7.1.2)."""
VRS: Final = LONG_FORM | TEXT_LIST | TEXT_ONE | BINARY | frozenset(NUMBERS) | {"DS", "IS", "PN"}
"""All value representations of PS3.5 section 6.2."""


def _without_nulls(text: str, context: Context) -> str:
    stripped = text.rstrip("\0 ")
    if "\0" in stripped:
        context.warn("a text value holds NUL characters")
        return stripped.replace("\0", "")
    return text.rstrip("\0 ")


def _ascii(raw: bytes, context: Context) -> str:
    """Read a VR of the default repertoire; what is outside of it is read in the declared set, defensively."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        context.warn("a value holds characters that its VR does not allow")
        text = context.charset.decode(raw)
    return _without_nulls(text, context) if "\0" in text else text


def _text(raw: bytes, context: Context) -> str:
    text = raw.decode("ascii") if context.is_plain and raw.isascii() else context.charset.decode(raw)
    return _without_nulls(text, context) if "\0" in text else text


def _text_list(vr: str) -> Converter:
    read = _text if vr in TEXT_IN_CHARSET else _ascii
    is_in_charset = vr in TEXT_IN_CHARSET

    def convert(raw: bytes, context: Context) -> JsonElement:
        # The first line is what nearly every value takes; ``read`` knows the rest.
        if raw.isascii() and (context.is_plain or not is_in_charset):
            text = raw.decode("ascii").strip(" \0")
            if "\0" in text:
                text = read(raw, context).strip(" ")
        else:
            text = read(raw, context).strip(" ")
        if "\\" in text:
            values = [value.strip(" ") or None for value in text.split("\\")]
            return {"vr": vr, "Value": values} if any(values) else {"vr": vr}
        return {"vr": vr, "Value": [text]} if text else {"vr": vr}

    return convert


def _text_one(vr: str) -> Converter:
    read = _text if vr in TEXT_IN_CHARSET else _ascii

    def convert(raw: bytes, context: Context) -> JsonElement:
        text = read(raw, context).rstrip(" ")
        return {"vr": vr, "Value": [text]} if text else {"vr": vr}

    return convert


_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def person_name(text: str) -> dict[str, str] | None:
    """Give the component groups of one person name (PS3.18 F.2.2); None when there are none."""
    if "=" not in text:
        text = text.rstrip(" ")
        return {"Alphabetic": text} if text else None
    groups = zip(_GROUPS, text.split("="), strict=False)
    return {name: group.rstrip(" ") for name, group in groups if group.strip(" ")} or None


def _names(raw: bytes, context: Context) -> JsonElement:
    plain = context.is_plain and raw.isascii()
    text = raw.decode("ascii") if plain else context.charset.decode(raw, is_name=True)
    if "\0" in text:
        text = _without_nulls(text, context)
    values = [person_name(value) for value in text.split("\\")]
    return {"vr": "PN", "Value": values} if any(values) else {"vr": "PN"}


def decimal(text: str) -> float | str | None:
    """Give a DS value as a number; as text when it is none, and None when it is empty."""
    try:
        number = float(text)
    except ValueError:
        return text.strip(" ") or None
    if number - number != 0.0 or "_" in text:
        return text.strip(" ")
    return number


def integer(text: str) -> int | str | None:
    """Give an IS value as a number; as text when it is none, and None when it is empty."""
    try:
        number = int(text)
    except ValueError:
        return text.strip(" ") or None
    if "_" in text or not -EXACT_INTEGER < number < EXACT_INTEGER:
        return text.strip(" ")
    return number


def _number_list(vr: str, one: Callable[[str], float | int | str | None]) -> Converter:
    def convert(raw: bytes, context: Context) -> JsonElement:
        text = _ascii(raw, context)
        if "\\" in text:
            values: list[Any] = [one(value) for value in text.split("\\")]
            return {"vr": vr, "Value": values} if any(v is not None for v in values) else {"vr": vr}
        value = one(text)
        return {"vr": vr, "Value": [value]} if value is not None else {"vr": vr}

    return convert


def _floats(values: tuple[float, ...]) -> list[Any]:
    """Give floats as JSON can hold them: what is not finite as ``NaN``, ``inf``, ``-inf``."""
    given: list[Any] = list(values)
    if not all(value - value == 0.0 for value in values):
        given = [v if v - v == 0.0 else "NaN" if v != v else "inf" if v > 0 else "-inf" for v in values]
    return given


def _given(vr: str, values: tuple[Any, ...]) -> list[Any]:
    match vr:
        case "AT":
            return [f"{g:04X}{e:04X}" for g, e in zip(values[::2], values[1::2], strict=True)]
        case "FL" | "FD":
            return _floats(values)
        case "UV" | "SV":
            return [v if -EXACT_INTEGER < v < EXACT_INTEGER else str(v) for v in values]
        case _:
            return list(values)


def _numbers(vr: str, order: str) -> Converter:
    code = NUMBERS[vr]
    size = Struct("<" + code).size
    one = Struct(order + code).unpack
    is_plain = vr in ("US", "SS", "UL", "SL")

    def convert(raw: bytes, context: Context) -> JsonElement:
        length = len(raw)
        if length == size:
            values = one(raw)
            return {"vr": vr, "Value": [values[0]] if is_plain else _given(vr, values)}
        count = length // size
        if count * size != length:
            context.warn("a numeric value has a length that does not fit its VR")
            if not count:
                return {"vr": vr}
        return {"vr": vr, "Value": _given(vr, Struct(order + code * count).unpack_from(raw))}

    return convert


def swapped(raw: bytes, word: int) -> bytes:
    """Give ``raw`` with the bytes of each whole word reversed."""
    if word == 1:
        return raw
    whole = len(raw) - len(raw) % word
    turned = bytearray(raw)
    for byte in range(word):
        turned[byte:whole:word] = raw[word - 1 - byte : whole : word]
    return bytes(turned)


def _binary(vr: str, order: str) -> Converter:
    word = WORD.get(vr, 1) if order == ">" else 1

    def convert(raw: bytes, _context: Context) -> JsonElement:
        return {"vr": vr, "InlineBinary": b64encode(swapped(raw, word)).decode("ascii")}

    return convert


def _ambiguous(order: str) -> Converter:
    unsigned, signed = _numbers("US", order), _numbers("SS", order)

    def convert(raw: bytes, context: Context) -> JsonElement:
        representation = context.item.get(_REPRESENTATION) or context.root.get(_REPRESENTATION)
        is_signed = representation is not None and representation.get("Value") == [1]
        return (signed if is_signed else unsigned)(raw, context)

    return convert


def converter(vr: str, order: str) -> Converter:
    """Give the converter of a VR, as in an element or in the dictionary (``US or SS``).

    Parameters
    ----------
    vr : str
        Value representation; not SQ.
    order : str
        ``<`` or ``>``, as in ``struct``.
    """
    if vr in TEXT_LIST:
        return _text_list(vr)
    if vr in NUMBERS:
        return _numbers(vr, order)
    match vr:
        case "PN":
            return _names
        case "DS":
            return _number_list("DS", decimal)
        case "IS":
            return _number_list("IS", integer)
        case "US or SS":
            return _ambiguous(order)
        case _ if vr in TEXT_ONE:
            return _text_one(vr)
        case _:
            return _binary(vr if vr in BINARY else "OW" if " or " in vr else "UN", order)
