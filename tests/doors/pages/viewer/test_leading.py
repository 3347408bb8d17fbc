"""What an address of the viewer may say, and where studies are led that it cannot show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom.model import Attributes
from leadglass.doors.pages.viewer.leading import Where, wanted, where

UID = "1.2.840.99.1"


def test_an_address_of_ours_is_left_as_it_is() -> None:
    said = wanted([("StudyInstanceUIDs", f"{UID},1.2.3"), ("initialSOPInstanceUID", "1.2.4")])
    assert said is not None
    assert said.is_plain
    assert said.studies == (UID, "1.2.3")
    assert said.query == f"StudyInstanceUIDs={UID},1.2.3&initialSOPInstanceUID=1.2.4"


@pytest.mark.parametrize(
    "more",
    ["url", "customization", "configUrl", "token", "datasources", "hangingProtocolId", "multimonitor", "debug", "URL"],
)
def test_what_could_name_other_sources_settings_or_tokens_is_taken_off(more: str) -> None:
    said = wanted([("studyinstanceuids", UID), (more, "https://example.org/x")])
    assert said is not None
    assert not said.is_plain
    assert said.query == f"StudyInstanceUIDs={UID}"


@pytest.mark.parametrize(
    "value", ["", "x", "1.2/../3", "1" * 65, "<script>", ",".join(["1.2"] + [f"1.{n}" for n in range(9)])]
)
def test_without_a_study_there_is_nothing_to_open(value: str) -> None:
    assert wanted([("StudyInstanceUIDs", value)]) is None


@given(
    st.lists(st.tuples(st.text(max_size=20) | st.sampled_from(["StudyInstanceUIDs", "SeriesInstanceUIDs"]), st.text()))
)
def test_whatever_an_address_says_only_uids_are_left(pairs: list[tuple[str, str]]) -> None:
    said = wanted([*pairs, ("initialSOPInstanceUID", "1.2")])
    if said is not None:
        assert set(said.query) <= set("0123456789.,&=" + "StudySeriesInstanceUIDsinitialSOPInstanceUID")
        again = wanted([(name, value) for name, _, value in (each.partition("=") for each in said.query.split("&"))])
        assert again is not None
        assert again.is_plain


def _study(*classes: str) -> Attributes:
    return {"00080062": {"vr": "UI", "Value": list(classes)}}


STORAGE = "1.2.840.10008.5.1.4.1.1."


@pytest.mark.parametrize(
    ("classes", "led"),
    [
        ((), Where.VIEWER),  # nothing is known: the viewer is to say
        (("2",), Where.VIEWER),
        (("88.11",), Where.ELSEWHERE),
        (("104.1",), Where.ELSEWHERE),
        (("77.1.4.1",), Where.ELSEWHERE),
        (("66.4", "481.3", "11.1"), Where.ELSEWHERE),
        (("104.1", "88.33", "2"), Where.VIEWER),
        (("9.1.1",), Where.VIEWER),
        (("9.2.1",), Where.ELSEWHERE),
        (("77.1.6",), Where.MICROSCOPY),
        (("77.1.6", "88.11"), Where.MICROSCOPY),
        (("77.1.6", "2"), Where.VIEWER),
    ],
)
def test_a_study_is_led_where_it_can_be_seen(classes: tuple[str, ...], led: Where) -> None:
    assert where([_study(*(STORAGE + each for each in classes))]) is led
