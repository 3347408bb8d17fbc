"""Native DICOM Model (PS3.19 Annex A.1): XML to attributes, checked.

Rule 1. What it may cost is known before it is parsed: bytes, elements and depth are
bounded. Rule 2. No document type, no entity and nothing outside of the text is ever
followed. Rule 3. What is wrong is refused with its tag and never with its value.
"""

from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from leadglass.dicom.json_reader import (
    Modelled,
    ModelLimits,
    bulk_element,
    inline_element,
    modelled,
    said,
    tag_name,
    value_element,
    vr_of,
)
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.errors import BadInput

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_NAME_PARTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def read_native(text: bytes, limits: ModelLimits) -> Modelled:
    """Read one data set.

    Raises
    ------
    BadInput
        When it is not what the model allows, or costs too much.
    """
    if len(text) > limits.text_bytes:
        raise BadInput(f"The metadata is longer than {limits.text_bytes:,} bytes.")
    if text.count(b"<") > limits.values // 2:  # an element of XML takes twice the memory of a value of JSON
        raise BadInput(f"The metadata has more than {limits.values // 2:,} tags of XML.")
    try:
        root = ElementTree.fromstring(text, forbid_dtd=True)
    except DefusedXmlException:
        raise BadInput("The metadata has a document type or entities, which are not taken.") from None
    except (ParseError, LookupError, ValueError):
        raise BadInput("The metadata is not XML.") from None
    if _local(root) != "NativeDicomModel":
        raise BadInput("The metadata is not a NativeDicomModel (PS3.19 Annex A.1).")
    return modelled(_attributes(root, limits.depth))


def _local(element: Element) -> str:
    """Give the name of an XML element without its namespace."""
    return element.tag.rpartition("}")[2]


def _attributes(parent: Element, depth: int) -> Attributes:
    attributes: Attributes = {}
    for child in parent:
        if _local(child) != "DicomAttribute":
            raise BadInput("The metadata has an element of XML that is no DicomAttribute where one has to be.")
        name = tag_name(child.get("tag", ""))
        if name is None:
            continue
        if name in attributes:
            raise BadInput(f"{said(name)} is there twice.")
        attributes[name] = _element(name, child, depth)
    return attributes


def _element(name: str, attribute: Element, depth: int) -> JsonElement:
    vr = vr_of(name, attribute.get("vr"))
    kinds = {_local(child) for child in attribute}
    if len(kinds) > 1:
        raise BadInput(f"{said(name)} has values of several kinds.")
    match kinds.pop() if kinds else "":
        case "":
            return JsonElement(vr=vr)
        case "BulkData" if len(attribute) == 1:
            return bulk_element(name, vr, attribute[0].get("uri") or attribute[0].get("uuid"))
        case "InlineBinary" if len(attribute) == 1:
            return inline_element(name, vr, "".join((attribute[0].text or "").split()))
        case "Item" if vr == "SQ":
            if depth <= 0:
                raise BadInput("The metadata is nested deeper than sequences may be.")
            items = [{} if item is None else _attributes(item, depth - 1) for item in _numbered(name, attribute)]
            return JsonElement(vr=vr, Value=items) if items else JsonElement(vr=vr)
        case "PersonName" if vr == "PN":
            return value_element(name, vr, [_name(each) for each in _numbered(name, attribute)])
        case "Value" if vr not in ("SQ", "PN"):
            values: list[Any] = [None if each is None else each.text or None for each in _numbered(name, attribute)]
            return value_element(name, vr, values)
        case _:
            raise BadInput(f"{said(name)} has content that its VR cannot have.")


def _numbered(name: str, attribute: Element) -> list[Element | None]:
    """Give the children by their number; None where one is left out."""
    found: dict[int, Element] = {}
    for position, child in enumerate(attribute, 1):
        text = child.get("number", str(position))
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
        if number in found or not 1 <= number <= max(len(attribute) * 2, 64):
            raise BadInput(f"{said(name)} has values that are not numbered from 1 on.")
        found[number] = child
    return [found.get(number) for number in range(1, max(found, default=0) + 1)]


def _name(person: Element | None) -> dict[str, str] | None:
    if person is None:
        return None
    groups: dict[str, str] = {}
    for group in person:
        name = _local(group)
        if name not in _GROUPS or name in groups:
            raise BadInput("A person name has a component group that is none, or one twice.")
        parts = {_local(part): part.text or "" for part in group}
        if not parts.keys() <= set(_NAME_PARTS) or len(parts) != len(group):
            raise BadInput("A person name has a component that is none, or one twice.")
        groups[name] = "^".join(parts.get(part, "") for part in _NAME_PARTS).rstrip("^")
    return {name: text for name, text in groups.items() if text} or None
