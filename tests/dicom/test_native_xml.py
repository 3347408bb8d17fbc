from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom.model import Attributes
from leadglass.dicom.native_xml import NAMESPACE, write_native


def _read(attributes: Attributes, base: str = "") -> dict[str, ET.Element]:
    root = ET.fromstring(write_native(attributes, base))  # noqa: S314 - our own
    assert root.tag == f"{{{NAMESPACE}}}NativeDicomModel"
    return {each.attrib["tag"]: each for each in root}


def _values(element: ET.Element) -> list[str | None]:
    return [each.text for each in element.findall(f"{{{NAMESPACE}}}Value")]


@given(st.text(max_size=60))
def test_any_text_can_be_written_and_what_xml_can_hold_is_read_back(text: str) -> None:
    found = _read({"00104000": {"vr": "LT", "Value": [text]}})["00104000"]
    [value] = _values(found)
    if all(
        character in "\t\n\r" or " " <= character < "\ud800" or "\ue000" <= character < "\ufffe" for character in text
    ):
        assert (value or "") == text
    else:
        assert value is not None
        assert len(value) == len(text)


@given(st.text(alphabet="\"<>&'{}%]\n\r\t x", max_size=40))
def test_no_value_breaks_out_of_an_attribute(text: str) -> None:
    found = _read(
        {
            "00090010": {"vr": "LO", "Value": [text]},
            "00091001": {"vr": "OB", "BulkDataURI": "bulk:1,2"},
        },
        base=text,
    )["00091001"]
    assert found.attrib.get("privateCreator", "").split() == text.split()
    [place] = found
    assert place.attrib["uri"].split() == f"{text}bulk:1,2".split()


def test_each_kind_of_value_has_its_form() -> None:
    found = _read(
        {
            "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane^^Dr", "Ideographic": "山田"}, None]},
            "00101020": {"vr": "DS", "Value": [1.75, 2.0, None]},
            "00082218": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["T-1"]}}, {}]},
            "00091001": {"vr": "UN", "InlineBinary": "AQI="},
            "00100020": {"vr": "LO"},
        }
    )
    assert found["00080005"].attrib == {"tag": "00080005", "vr": "CS", "keyword": "SpecificCharacterSet"}
    names = [[(part.tag.split("}")[1], part.text) for group in each for part in group] for each in found["00100010"]]
    assert names == [
        [("FamilyName", "Doe"), ("GivenName", "Jane"), ("NamePrefix", "Dr"), ("FamilyName", "山田")],
        [],
    ]
    assert _values(found["00101020"]) == ["1.75", "2", None]
    items = list(found["00082218"])
    assert [item.attrib["number"] for item in items] == ["1", "2"]
    assert items[0][0].attrib["keyword"] == "CodeValue"
    assert found["00091001"][0].text == "AQI="
    assert len(found["00100020"]) == 0


@pytest.mark.parametrize("text", ["\x00", "\x1b", "\ufffe", "\ud800"])
def test_what_xml_cannot_hold_is_replaced(text: str) -> None:
    [value] = _values(_read({"00104000": {"vr": "LT", "Value": [text]}})["00104000"])
    assert value == "\ufffd"
