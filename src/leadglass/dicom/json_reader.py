"""JSON reader: text of the DICOM JSON Model (PS3.18 Annex F) to attributes, checked.

Rule 1. What it may cost is known before it is parsed: bytes, values, containers and
depth are bounded. Rule 2. Every element is checked against its VR; what is wrong is
refused with its tag and never with its value. Rule 3. Nothing is fetched: a
``BulkDataURI`` is a name for something else to resolve.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from leadglass.dicom import dictionary, tags
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.values import BINARY, NUMBERS, TEXT_IN_CHARSET, TEXT_LIST, TEXT_ONE, VRS
from leadglass.errors import BadInput

_KEY: Final = re.compile(r"[0-9A-Fa-f]{8}")
_INTEGER: Final = re.compile(r" *[+-]?[0-9]+ *")
_PARTS: Final = frozenset({"Value", "BulkDataURI", "InlineBinary"})
_KNOWN: Final = _PARTS | {"vr"}
_GROUPS: Final = frozenset({"Alphabetic", "Ideographic", "Phonetic"})
_NO_NUMBER: Final = frozenset({"NaN", "inf", "-inf", "Infinity", "-Infinity"})
"""What FL and FD may hold that JSON cannot spell as a number (PS3.18 F.2.7)."""
_META_GROUP: Final = 0x0002
_LONGEST_URI: Final = 4096


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What a text of the JSON Model, or of the Native DICOM Model, may cost.

    Parameters
    ----------
    text_bytes : int
        Bytes of the text. 32 MiB: twice what such a header takes.
    containers : int
        Elements and items, about. 300,000: an enhanced multi-frame header of ten thousand frames.
    values : int
        Values, about. 1,000,000: some 100 MB while they are read.
    depth : int
        Nested sequences. 64, as in a data set.
    instances : int
        Data sets in one text. 10,000.
    """

    text_bytes: int = 32 << 20
    containers: int = 300_000
    values: int = 1_000_000
    depth: int = 64
    instances: int = 10_000


@dataclass(frozen=True, slots=True)
class Modelled:
    """One data set as it was sent in a model.

    Parameters
    ----------
    attributes : Attributes
        Without file meta information, group lengths and Specific Character Set.
    transfer_syntax_uid : str
        From the file meta information, where somebody sent it along; else empty.
    """

    attributes: Attributes
    transfer_syntax_uid: str = ""


def read_json(text: bytes, limits: ModelLimits) -> list[Modelled]:
    """Read one data set, or an array of them (PS3.18 F.2.1).

    Raises
    ------
    BadInput
        When it is not what the model allows, or costs too much.
    """
    if len(text) > limits.text_bytes:
        raise BadInput(f"The metadata is longer than {limits.text_bytes:,} bytes.")
    # In texts these are counted too, which harms nobody: real metadata is far from the limits.
    if text.count(b"{") > limits.containers or text.count(b"[") > limits.containers:
        raise BadInput(f"The metadata has more than {limits.containers:,} elements and items.")
    if text.count(b",") > limits.values:
        raise BadInput(f"The metadata has more than {limits.values:,} values.")
    try:
        found: object = msgspec.json.decode(text)
    except RecursionError:
        raise BadInput(f"The metadata is nested deeper than {limits.depth} sequences.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadInput("The metadata is not JSON in UTF-8.") from None
    sets = cast("list[object]", found) if isinstance(found, list) else [found]
    if not sets:
        raise BadInput("The metadata is of no instance.")
    if len(sets) > limits.instances:
        raise BadInput(f"The metadata is of more than {limits.instances:,} instances.")
    return [modelled(_attributes(each, limits.depth)) for each in sets]


def modelled(attributes: Attributes) -> Modelled:
    """Part what belongs to a file, or to an encoding, from the data set."""
    syntax = attributes.get(tags.key(tags.TransferSyntaxUID), JsonElement(vr="UI")).get("Value", [""])[0]
    dropped = tags.key(tags.SpecificCharacterSet)
    kept = {
        name: element for name, element in attributes.items() if int(name[:4], 16) != _META_GROUP and name != dropped
    }
    return Modelled(kept, str(syntax or ""))


def _attributes(found: object, depth: int) -> Attributes:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadInput("A data set in the metadata is not an object of JSON.")
    attributes: Attributes = {}
    for key, element in cast("dict[str, object]", found).items():
        name = tag_name(key)
        if name is None:
            continue
        if name in attributes:
            raise BadInput(f"{said(name)} is there twice.")
        attributes[name] = _element(name, element, depth)
    return attributes


def tag_name(text: str) -> str | None:
    """Give the name of a tag as in ``Attributes``; None of a group length, which an encoding has or has not.

    Raises
    ------
    BadInput
        When it is no tag, or one that no data set may hold.
    """
    if _KEY.fullmatch(text) is None:
        raise BadInput("A tag in the metadata is not eight hexadecimal digits.")
    name = text.upper()
    tag = int(name, 16)
    group = tag >> 16
    if group in (0x0000, 0x0001, 0x0003, 0x0005, 0x0007, 0xFFFF) or group == tags.ITEM_GROUP:
        raise BadInput(f"{said(name)} is in a group that no data set may hold.")
    return name if tag & 0xFFFF else None


def said(name: str) -> str:
    """Name an element in a message."""
    keyword = dictionary.keyword(int(name, 16))
    return f"The element ({name[:4]},{name[4:]})" + (f" {keyword}" if keyword != name else "")


def vr_of(name: str, text: object, values: object = None) -> str:
    """Give the VR that was sent, or where none was the dictionary's; of several the one that fits the values.

    Parameters
    ----------
    name : str
        The tag.
    text : object
        What was sent as VR: None for nothing; ``US or SS`` where the dictionary
        says so too, which is what readers of Implicit VR hand on.
    values : object
        What was sent as values.

    Raises
    ------
    BadInput
        When there is none, or it is none.
    """
    known = dictionary.vr(int(name, 16))
    if text is None or (text == known and " " in known):
        text = known
        if " " in known:
            numbers = cast("list[object]", values) if isinstance(values, list) else []
            is_signed = any(isinstance(number, int) and number < 0 for number in numbers)
            text = ("SS" if is_signed else "US") if numbers else "OW"
            if text not in known:
                text = "US"
    if not isinstance(text, str) or text not in VRS:
        raise BadInput(f"{said(name)} has a VR that is none of PS3.5 section 6.2.")
    return text


def _element(name: str, found: object, depth: int) -> JsonElement:
    if not isinstance(found, dict):
        raise BadInput(f"{said(name)} is not an object of JSON.")
    element = cast("dict[str, object]", found)
    vr = vr_of(name, element.get("vr"), element.get("Value"))
    if not _KNOWN.issuperset(element) or len(_PARTS.intersection(element)) > 1:
        raise BadInput(f"{said(name)} has to have one of Value, BulkDataURI and InlineBinary, or none.")
    if "BulkDataURI" in element:
        return bulk_element(name, vr, element["BulkDataURI"])
    if "InlineBinary" in element:
        return inline_element(name, vr, element["InlineBinary"])
    values = element.get("Value")
    if values is None:
        return JsonElement(vr=vr)
    if not isinstance(values, list):
        raise BadInput(f"The Value of {said(name).removeprefix('The ')} is not an array.")
    listed = cast("list[Any]", values)
    if vr == "SQ":
        if depth <= 0:
            raise BadInput("The metadata is nested deeper than sequences may be.")
        return JsonElement(vr=vr, Value=[_attributes(item, depth - 1) for item in listed])
    return value_element(name, vr, listed)


def bulk_element(name: str, vr: str, uri: object) -> JsonElement:
    """Check an element whose value is elsewhere."""
    if not isinstance(uri, str) or not uri or len(uri) > _LONGEST_URI or vr == "SQ":
        raise BadInput(f"{said(name)} has a BulkDataURI that is none, or is a sequence.")
    return JsonElement(vr=vr, BulkDataURI=uri)


def inline_element(name: str, vr: str, inline: object) -> JsonElement:
    """Check an element whose value is Base64."""
    if isinstance(inline, list) and len(cast("list[object]", inline)) == 1:
        inline = cast("list[object]", inline)[0]
    if not isinstance(inline, str) or vr not in BINARY:
        raise BadInput(f"{said(name)} has an InlineBinary that is no text, or is not binary.")
    return JsonElement(vr=vr, InlineBinary=inline) if inline else JsonElement(vr=vr)


def value_element(name: str, vr: str, values: list[Any]) -> JsonElement:
    """Check values of one VR.

    Raises
    ------
    BadInput
        When one is not of it.
    """
    if not values or values == [None]:
        return JsonElement(vr=vr)
    if vr in BINARY:
        raise BadInput(f"{said(name)} is binary and has values. Send it as InlineBinary or BulkDataURI.")
    if vr in TEXT_ONE and len(values) != 1:
        raise BadInput(f"{said(name)} has several values, and its VR has one.")
    is_one = _CHECKS[vr]
    if not all(value is None or is_one(value) for value in values) or (vr in NUMBERS and None in values):
        raise BadInput(f"{said(name)} has a value that is not one of VR {vr}.")
    return JsonElement(vr=vr, Value=values)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_one_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value and "\\" not in value


def _is_plain_text(value: object) -> bool:
    return _is_one_text(value) and cast("str", value).isascii()


def _is_url(value: object) -> bool:
    return _is_text(value) and cast("str", value).isascii()


def _is_name(value: object) -> bool:
    if isinstance(value, str):
        return _is_one_text(value)
    if not isinstance(value, dict):
        return False
    groups = cast("dict[str, object]", value)
    return _GROUPS.issuperset(groups) and all(
        _is_one_text(group) and "=" not in str(group) for group in groups.values()
    )


def _is_tag(value: object) -> bool:
    return isinstance(value, str) and _KEY.fullmatch(value) is not None


def _is_integer(value: object) -> bool:
    if isinstance(value, str):
        return _INTEGER.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool)


def _is_integer_string(value: object) -> bool:
    """Say whether a value is one of IS: 12 characters hold it (PS3.5 section 6.2)."""
    return _is_integer(value) and (len(value) <= 64 if isinstance(value, str) else abs(cast("int", value)) < 10**12)


def _is_float(value: object) -> bool:
    if isinstance(value, str):
        return value in _NO_NUMBER or _is_decimal(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_decimal(value: object) -> bool:
    if isinstance(value, str):
        if "_" in value or not value.isascii():
            return False
        try:
            number = float(value)
        except ValueError:
            return not value.strip(" ")
        return number - number == 0.0
    return isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0.0


def _checks() -> dict[str, Callable[[object], bool]]:
    checks: dict[str, Callable[[object], bool]] = {}
    for vr in TEXT_LIST:
        checks[vr] = _is_one_text if vr in TEXT_IN_CHARSET else _is_plain_text
    for vr in TEXT_ONE:
        checks[vr] = _is_text if vr in TEXT_IN_CHARSET else _is_url
    for vr in NUMBERS:
        checks[vr] = _is_integer
    return checks | {
        "FL": _is_float,
        "FD": _is_float,
        "AT": _is_tag,
        "DS": _is_decimal,
        "IS": _is_integer_string,
        "PN": _is_name,
    }


_CHECKS: Final = _checks()
