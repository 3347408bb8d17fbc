"""Native DICOM Model (PS3.19 Annex A.1): attributes as XML.

Rule: what XML cannot hold (most control characters) becomes U+FFFD; all else
can be read back as it was.
"""

import re
from typing import Final, cast
from xml.sax.saxutils import escape

from leadglass.dicom import dictionary
from leadglass.dicom.model import Attributes, JsonElement

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME_PARTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_QUOTES: Final = {'"': "&quot;", "\r": "&#13;"}
"""A carriage return that is not escaped would be read back as a line feed (XML 1.0 section 2.11)."""


def write_native(attributes: Attributes, base: str = "") -> bytes:
    """Give attributes as an XML document in UTF-8.

    Parameters
    ----------
    attributes : Attributes
        The data set.
    base : str
        What is put in front of each BulkDataURI.
    """
    parts = [f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">']
    _write(attributes, base, parts)
    parts.append("</NativeDicomModel>")
    return "".join(parts).encode()


def _write(attributes: Attributes, base: str, parts: list[str]) -> None:
    for name in sorted(attributes):
        element = attributes[name]
        parts.append(f'<DicomAttribute tag="{_text(name)}" vr="{_text(element["vr"])}"{_named(name, attributes)}')
        before = len(parts)
        parts.append(">")
        _content(element, base, parts)
        if len(parts) == before + 1:
            parts[before] = "/>"
        else:
            parts.append("</DicomAttribute>")


def _named(name: str, attributes: Attributes) -> str:
    """Give the keyword, or for a private attribute its creator (PS3.5 section 7.8.1)."""
    tag = int(name, 16)
    if not tag >> 16 & 1:
        keyword = dictionary.keyword(tag)
        return f' keyword="{keyword}"' if keyword.isidentifier() else ""
    block = tag >> 8 & 0xFF
    creator = attributes.get(f"{name[:4]}00{block:02X}") if block >= 0x10 else None
    values = creator.get("Value") if creator is not None else None
    return f' privateCreator="{_text(str(values[0]))}"' if values and values[0] is not None else ""


def _content(element: JsonElement, base: str, parts: list[str]) -> None:
    if "BulkDataURI" in element:
        parts.append(f'<BulkData uri="{_text(base + element["BulkDataURI"])}"/>')
        return
    if "InlineBinary" in element:
        parts.append(f"<InlineBinary>{_text(element['InlineBinary'])}</InlineBinary>")
        return
    vr = element["vr"]
    for number, value in enumerate(element.get("Value", []), 1):
        if vr == "SQ":
            parts.append(f'<Item number="{number}">')
            _write(cast("Attributes", value), base, parts)
            parts.append("</Item>")
        elif vr == "PN":
            parts.append(f'<PersonName number="{number}">{_name(value)}</PersonName>')
        else:
            parts.append(f'<Value number="{number}">{"" if value is None else _text(_spelled(value))}</Value>')


def _name(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    groups = cast("dict[str, str]", value)
    return "".join(f"<{name}>{_components(groups[name])}</{name}>" for name in _GROUPS if groups.get(name))


def _components(group: str) -> str:
    named = zip(_NAME_PARTS, group.split("^", 4), strict=False)
    return "".join(f"<{name}>{_text(part)}</{name}>" for name, part in named if part)


def _spelled(value: object) -> str:
    """Spell a value; a whole number of a DS without a point, as most devices write it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 and str(value) != "-0.0":
        return str(int(value))
    return str(value)


def _text(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text), _QUOTES)
