"""Query strings: what they come to, and that nothing of them is ignored or repeated to anybody."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.archive.lists import Window
from leadglass.dicom import dictionary, tags
from leadglass.dicom.levels import Level
from leadglass.dicom.matching import (
    DateTimeRange,
    Empty,
    Fuzzy,
    Name,
    Number,
    Range,
    SequenceKey,
    Single,
    UidList,
    Universal,
    Wild,
)
from leadglass.dicom.model import Attributes
from leadglass.doors.dicomweb.qido_query import DEFAULT, MOST, Search, keywords, parse
from leadglass.errors import BadInput

OF_STUDY: Attributes = {tags.key(tags.StudyInstanceUID): {"vr": "UI", "Value": ["1.2"]}}


def read(text: str, level: Level = Level.STUDY, path: Attributes | None = None) -> Search:
    return parse(text.encode(), level, path or {})


@pytest.mark.parametrize(
    ("text", "tag", "key"),
    [
        ("PatientID=4711", tags.PatientID, Single(("4711",))),
        ("00100020=4711", tags.PatientID, Single(("4711",))),
        ("PatientID=a%2Bb%20c", tags.PatientID, Single(("a+b c",))),
        ("PatientID=a+b", tags.PatientID, Single(("a b",))),
        ("PatientID=", tags.PatientID, Universal()),
        ("PatientID=*", tags.PatientID, Universal()),
        ("PatientID=47*", tags.PatientID, Wild(("47*",))),
        ("PatientID=1,2", tags.PatientID, Single(("1,2",))),
        ("PatientID=1\\2&multiplevaluematching=true", tags.PatientID, Single(("1", "2"))),
        ("StudyInstanceUID=1.2,1.3", tags.StudyInstanceUID, UidList(("1.2", "1.3"))),
        ("StudyInstanceUID=1.2\\1.3", tags.StudyInstanceUID, UidList(("1.2", "1.3"))),
        ("StudyInstanceUID=1.2%2C1.3", tags.StudyInstanceUID, UidList(("1.2", "1.3"))),
        ("ModalitiesInStudy=CT,MR", tags.ModalitiesInStudy, Single(("CT", "MR"))),
        ("StudyDate=20260101-20260131", tags.StudyDate, Range("DA", "20260101", "20260131")),
        ("StudyDate=-20260131", tags.StudyDate, Range("DA", "", "20260131")),
        ("PatientName=Doe%5EJ*", tags.PatientName, Name((("Doe^J*",),))),
        ("PatientName=Doe&fuzzymatching=true", tags.PatientName, Fuzzy((("doe",),))),
        ("PatientName=Do*&fuzzymatching=true", tags.PatientName, Name((("Do*",),))),
        ("PatientName=%E5%B1%B1%E7%94%B0&fuzzymatching=false", tags.PatientName, Name((("山田",),))),
        ('AccessionNumber=""&emptyvaluematching=true', tags.AccessionNumber, Empty()),
        ('AccessionNumber=""', tags.AccessionNumber, Single(('""',))),
        ("includefield=StudyDescription", tags.StudyDescription, Universal()),
        ("includefield=00081030,StudyComments", tags.StudyDescription, Universal()),
        ("includefield=StudyComments&includefield=00081030", tags.StudyDescription, Universal()),
    ],
)
def test_a_parameter_is_a_key(text: str, tag: int, key: object) -> None:
    assert read(text).query.keys[tags.key(tag)] == key


def test_a_sequence_without_a_value_matches_all_and_is_returned() -> None:
    search = read("RequestAttributesSequence=&ProcedureCodeSequence=", Level.SERIES)
    assert search.query.keys[tags.key(tags.RequestAttributesSequence)] == SequenceKey({})
    assert tags.key(tags.ProcedureCodeSequence) in search.query.whole
    both = read("00400275=&00400275.00400009=S1", Level.SERIES).query.keys
    assert isinstance(both[tags.key(tags.RequestAttributesSequence)], SequenceKey), "what is asked beside it stays"


@pytest.mark.parametrize("name", ["RetrieveURL", "TimezoneOffsetFromUTC", "SpecificCharacterSet"])
def test_what_cannot_be_matched_at_any_level_is_not_said_to_stand_below(name: str) -> None:
    with pytest.raises(BadInput, match=f"{name} cannot be matched"):
        read(f"{name}=")


@pytest.mark.parametrize("name", ["RequestAttributesSequence.ScheduledProcedureStepID", "00400275.00400009"])
def test_dots_lead_into_sequences(name: str) -> None:
    keys = read(f"{name}=S1", Level.SERIES).query.keys
    assert keys[tags.key(tags.RequestAttributesSequence)] == SequenceKey(
        {tags.key(dictionary.tag_of("ScheduledProcedureStepID") or 0): Single(("S1",))}
    )


def test_date_and_time_are_one_moment() -> None:
    (pair,) = read("StudyDate=20260101-20260102&StudyTime=1000-1100").query.combined
    assert isinstance(pair, DateTimeRange)


def test_numbers_are_compared_as_numbers() -> None:
    assert read("InstanceNumber=007", Level.IMAGE).query.keys[tags.key(tags.InstanceNumber)] == Number((7,))
    assert read("00280010=512", Level.IMAGE).query.keys[tags.key(tags.Rows)] == Number((512,))


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("", Window(0, DEFAULT)),
        ("limit=10&offset=20", Window(20, 10)),
        ("limit=0", Window(0, 0)),
        ("limit=999999", Window(0, MOST)),
    ],
)
def test_limit_and_offset_are_a_window(text: str, window: Window) -> None:
    assert read(text).window == window


@pytest.mark.parametrize(
    ("text", "is_literal"),
    [
        ("fuzzymatching=true", False),
        ("fuzzymatching=true&PatientName=Doe", False),
        ("fuzzymatching=true&PatientName=Doe*", True),
        ("fuzzymatching=true&PatientName=*", False),
        ("fuzzymatching=false&PatientName=Doe*", False),
    ],
)
def test_it_is_known_when_a_name_is_matched_literally_all_the_same(text: str, is_literal: bool) -> None:
    assert read(text).is_literal == is_literal


BAD = [
    ("Foo=1", "Foo"),
    ("limit=1&Foo=1", "Foo"),
    ("foo", "foo"),
    ("00100020x=1", "00100020x"),
    ("patientid=1", "patientid"),
    ("00020010=1", "00020010"),
    ("FFFEE000=1", "FFFEE000"),
    ("PatientID=1&PatientID=2", "PatientID"),
    ("PatientID=1&00100020=2", "00100020"),
    ("limit=1&limit=1", "limit"),
    ("offset=1&offset=2", "offset"),
    ("fuzzymatching=true&fuzzymatching=true", "fuzzymatching"),
    ("limit=-1", "limit"),
    ("limit=ten", "limit"),
    ("limit=", "limit"),
    ("offset=1.5", "offset"),
    ("offset=99999999999999999999", "offset"),
    ("limit=\u0661", "limit"),
    ("fuzzymatching=yes", "fuzzymatching"),
    ("fuzzymatching=TRUE", "fuzzymatching"),
    ("emptyvaluematching=1", "emptyvaluematching"),
    ("multiplevaluematching=1", "multiplevaluematching"),
    ("charset=latin1", "charset"),
    ("includefield=Foo", "includefield"),
    ("includefield=Patient%00Name", "includefield"),
    ("includefield=PatientName.PatientID", "includefield"),
    ("StudyDate=yesterday", "StudyDate"),
    ("StudyDate=20261301", "StudyDate"),
    ("StudyDate=20260101\\20260102", "StudyDate"),
    ("StudyTime=2500", "StudyTime"),
    ("StudyInstanceUID=abc", "StudyInstanceUID"),
    ("StudyInstanceUID=1.2;DROP", "StudyInstanceUID"),
    ("StudyInstanceUID=" + "1" * 65, "StudyInstanceUID"),
    ("PatientID=" + "x" * 129, "PatientID"),
    ("PatientName=" + "*x" * 300, "PatientName"),
    ("PatientID=%zz", "PatientID"),
    ("PatientID=%FF", "PatientID"),
    ("PatientID=a%00b", "PatientID"),
    ("PatientID=a%0Ab", "PatientID"),
    ("Modality=CT", "ModalitiesInStudy"),
    ("InstanceNumber=1", "InstanceNumber"),
    ("00091001=x", "00091001"),
    ("RetrieveURL=x", "RetrieveURL"),
    ("InstanceAvailability=ONLINE", "InstanceAvailability"),
    ("TimezoneOffsetFromUTC=%2B0100", "TimezoneOffsetFromUTC"),
    ("NumberOfStudyRelatedInstances=many", "NumberOfStudyRelatedInstances"),
    ("ProcedureCodeSequence=x", "ProcedureCodeSequence"),
    ("PatientName.PatientID=x", "PatientName.PatientID"),
    ("ProcedureCodeSequence.Foo=x", "ProcedureCodeSequence.Foo"),
    (".".join(["ProcedureCodeSequence"] * 9) + ".CodeValue=x", "ProcedureCodeSequence"),
    ("<script>=1", "parameter"),
    ("Patient%20ID=1", "parameter"),
    ("A" * 300 + "=1", "parameter"),
    ("&".join(f"PatientID{n}=1" for n in range(501)), "parameters"),
]


@pytest.mark.parametrize(("text", "named"), BAD, ids=[text[:40] for text, _ in BAD])
def test_what_is_wrong_is_named(text: str, named: str) -> None:
    with pytest.raises(BadInput, match=named.replace(".", r"\.")):
        read(text)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadInput, match="UTF-8"):
        parse(b"PatientID=\xff", Level.STUDY, {})


def test_what_the_path_says_is_not_said_again() -> None:
    with pytest.raises(BadInput, match="StudyInstanceUID is fixed"):
        read("StudyInstanceUID=1.2", Level.SERIES, OF_STUDY)
    assert read("", Level.SERIES, OF_STUDY).query.keys[tags.key(tags.StudyInstanceUID)] == UidList(("1.2",))


def test_what_stands_below_may_be_asked_for_and_is_not_answered() -> None:
    search = read("includefield=Modality,00280010&includefield=00091001")
    assert not {tags.key(tags.Modality), tags.key(tags.Rows)} & search.query.keys.keys()


def test_the_path_decides_what_is_returned_of_levels_above() -> None:
    name = tags.key(tags.PatientName)
    assert name in read("", Level.SERIES).query.keys
    assert name not in read("", Level.SERIES, OF_STUDY).query.keys
    assert tags.key(tags.Modality) in read("", Level.IMAGE, OF_STUDY).query.keys


@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.IMAGE])
def test_what_is_returned_can_be_told(level: Level) -> None:
    assert "RetrieveURL" in keywords(level)


SECRET = "Zz^Secret"


@given(
    name=st.sampled_from(
        ["PatientID", "StudyDate", "StudyTime", "StudyInstanceUID", "limit", "offset", "fuzzymatching", "charset",
         "includefield", "ProcedureCodeSequence.CodeValue", "Foo", "PatientBirthDate", "NumberOfStudyRelatedSeries"]
    ),
    times=st.integers(1, 3),
    more=st.text(max_size=20),
)  # fmt: skip
def test_no_message_repeats_a_value(name: str, times: int, more: str) -> None:
    text = "&".join([f"{name}={quote(SECRET + more)}"] * times)
    try:
        read(text)
    except BadInput as error:
        assert "Secret" not in error.message  # noqa: PT017 - most are errors, not all


@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from([text for text, _ in BAD]), st.text(max_size=12)),
            st.sampled_from(["&", "=", "%", ",", ".", "&&", ""]),
        ),
        max_size=6,
    ),
    st.sampled_from([Level.STUDY, Level.SERIES, Level.IMAGE]),
)
def test_a_query_string_is_read_or_refused(pieces: list[tuple[str, str]], level: Level) -> None:
    text = "".join(piece + joint for piece, joint in pieces)
    try:
        read(text.encode("utf-8", "replace").decode(), level)
    except BadInput as error:
        assert error.message  # noqa: PT017 - either is right, nothing else is


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        parse(raw, Level.STUDY, {})
    except BadInput as error:
        assert error.message  # noqa: PT017
