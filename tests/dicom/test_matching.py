import re
from typing import Any, SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom import tags
from leadglass.dicom.keys import Effort, holds, is_like
from leadglass.dicom.matching import (
    Empty,
    Level,
    Name,
    Query,
    Range,
    Root,
    SequenceKey,
    Single,
    UidList,
    Universal,
    Wild,
    query_from_identifier,
)
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.moments import parse_date, parse_date_time, parse_time
from leadglass.errors import BadInput


def _element(vr: str, *values: Any) -> JsonElement:
    return JsonElement(vr=vr, Value=list(values)) if values else JsonElement(vr=vr)


def _identifier(level: str, **keys: JsonElement) -> Attributes:
    named: Attributes = {"00080052": _element("CS", level)}
    for keyword, element in keys.items():
        named[tags.key(getattr(tags, keyword))] = element
    return named


def _study(**keys: JsonElement) -> Query:
    return query_from_identifier(_identifier("STUDY", **keys), root=Root.STUDY, relational=False)


def _has(query: Query, **attributes: JsonElement) -> bool:
    return query.matches({tags.key(getattr(tags, keyword)): element for keyword, element in attributes.items()})


def _name(alphabetic: str = "", ideographic: str = "", phonetic: str = "") -> dict[str, str]:
    groups = {"Alphabetic": alphabetic, "Ideographic": ideographic, "Phonetic": phonetic}
    return {group: text for group, text in groups.items() if text}


# --- single values and lists --------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "is_match"),
    [
        ("S1", "S1", True),
        ("S1", "S1  ", True),
        ("S1", "s1", False),
        ("S1", "S12", False),
        ("a' OR '1'='1", "a' OR '1'='1", True),
        ("a' OR '1'='1", "b", False),
        ("100%", "1000", False),
        ("S_1", "SX1", False),
        ("<b>", "<b>", True),
        ("S.1", "SX1", False),
        ("[ab]", "a", False),
    ],
)
def test_a_single_value_is_compared_literally(key: str, value: str, is_match: bool) -> None:
    assert _has(_study(StudyID=_element("SH", key)), StudyID=_element("SH", value)) is is_match


def test_any_value_of_a_multi_valued_attribute_answers() -> None:
    query = _study(ModalitiesInStudy=_element("CS", "MR"))
    assert _has(query, ModalitiesInStudy=_element("CS", "CT", "MR"))
    assert not _has(query, ModalitiesInStudy=_element("CS", "CT"))
    assert _has(_study(ModalitiesInStudy=_element("CS", "MR", "US")), ModalitiesInStudy=_element("CS", "CT", "US"))


def test_a_list_of_uids_asks_for_any_of_them() -> None:
    query = _study(StudyInstanceUID=_element("UI", "1.2", "1.3"))
    assert query.keys["0020000D"] == UidList(("1.2", "1.3"))
    assert _has(query, StudyInstanceUID=_element("UI", "1.3"))
    assert not _has(query, StudyInstanceUID=_element("UI", "1.4"))


def test_a_uid_has_no_wild_cards() -> None:
    assert not _has(_study(StudyInstanceUID=_element("UI", "1.*")), StudyInstanceUID=_element("UI", "1.2"))


@pytest.mark.parametrize("key", [_element("LO"), _element("LO", "*"), _element("LO", "**")])
def test_universal_matching_finds_what_is_empty_or_absent(key: JsonElement) -> None:
    query = _study(StudyDescription=key)
    assert query.keys["00081030"] == Universal()
    assert _has(query)
    assert _has(query, StudyDescription=_element("LO"))


def test_what_is_absent_answers_no_other_key() -> None:
    for key in (_element("LO", "x"), _element("LO", "x*"), _element("LO", "?")):
        assert not _has(_study(StudyDescription=key))
        assert not _has(_study(StudyDescription=key), StudyDescription=_element("LO"))


def test_numbers_are_compared_by_value() -> None:
    query = query_from_identifier(
        _identifier("IMAGE", InstanceNumber=_element("IS", 7)), root=Root.STUDY, relational=True
    )
    assert _has(query, InstanceNumber=_element("IS", 7))
    assert not _has(query, InstanceNumber=_element("IS", 8))


# --- wild cards ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "value", "is_match"),
    [
        ("CT*", "CT HEAD", True),
        ("*HEAD", "CT HEAD", True),
        ("*T*E*", "CT HEAD", True),
        ("C?", "CT", True),
        ("C?", "C", False),
        ("C?", "CTT", False),
        ("ct*", "CT HEAD", False),
        ("*", "", True),
        ("a*b", "a\nb", True),
        (".*", "CT", False),
        ("C[TR]*", "CT", False),
    ],
)
def test_wild_cards_fit_as_told(pattern: str, value: str, is_match: bool) -> None:
    assert is_like(value, pattern) is is_match


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_wild_cards_agree_with_regular_expressions(pattern: str, text: str) -> None:
    reference = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    assert is_like(text, pattern) == (re.fullmatch(reference, text, re.DOTALL) is not None)


class Watched(str):
    """A text that counts how often one of its characters, or a piece of it, is looked at."""

    __slots__ = ("looks",)
    looks: int

    def __getitem__(self, at: SupportsIndex | slice) -> str:
        self.looks += 1
        return super().__getitem__(at)


@given(st.text("aé", min_size=50, max_size=400), st.text("aé?*", max_size=400))
def test_no_pattern_has_a_text_looked_at_more_than_once(text: str, pattern: str) -> None:
    watched = Watched(text)
    watched.looks = 0
    is_like(watched, f"*{pattern}b*")
    assert watched.looks <= len(text) + 2


@given(st.text("ab", max_size=60), st.text("ab?", min_size=1, max_size=8))
def test_a_part_with_question_marks_is_found_where_it_is_first(text: str, part: str) -> None:
    found = re.search(part.replace("?", "."), text)
    assert is_like(text, f"*{part}*") is (found is not None)


def test_of_a_long_stored_text_only_its_beginning_is_compared() -> None:
    query = _study(PatientName=_element("PN", _name("*end")))
    assert _has(query, PatientName=_element("PN", _name("x" * 1_000 + "end")))
    assert not _has(query, PatientName=_element("PN", _name("x" * 2_000 + "end")))
    assert _has(_study(PatientName=_element("PN", _name("xx*"))), PatientName=_element("PN", _name("x" * 2_000)))
    query = _study(StudyDescription=_element("LO", "*end"))
    assert _has(query, StudyDescription=_element("LO", "x" * 10_000 + "end"))
    assert not _has(query, StudyDescription=_element("LO", "x" * 11_000 + "end"))


def test_a_name_is_not_written_out_beyond_five_components() -> None:
    assert _has(_study(PatientName=_element("PN", _name("Doe^*^*^*^*"))), PatientName=_element("PN", _name("Doe")))
    assert not _has(
        _study(PatientName=_element("PN", _name("Doe" + "^*" * 60))), PatientName=_element("PN", _name("Doe"))
    )


def test_what_a_row_may_cost_is_bounded_and_what_is_beyond_does_not_match() -> None:
    names = _element("PN", *[_name("x" * 1_000)] * 100, _name("Doe"))
    key = Name((("*y*",),))
    assert holds(Name((("Doe",),)), names, Effort())
    effort = Effort(100_000)
    assert not holds(key, names, effort)
    assert effort.left < 0
    assert not holds(Name((("Doe",),)), names, Effort(100_000))


def test_a_sequence_is_looked_at_as_far_as_the_effort_reaches() -> None:
    items = [{tags.key(tags.StudyDescription): _element("LO", "x")}] * 50
    wanted = SequenceKey({tags.key(tags.StudyDescription): Wild(("x*",))})
    nobody = SequenceKey({tags.key(tags.StudyDescription): Wild(("y*",))})
    assert holds(wanted, _element("SQ", *items), Effort(100))
    effort = Effort(100)
    assert not holds(nobody, _element("SQ", *items), effort)
    assert effort.left < 0


def test_many_uids_are_compared_with_many_without_one_by_one() -> None:
    wanted = tuple(f"1.2.{n}" for n in range(50_000))
    stored = _element("UI", *(f"1.3.{n}" for n in range(50_000)))
    assert not holds(UidList(wanted), stored, Effort())
    assert holds(UidList((*wanted, "1.3.49999")), stored, Effort())


@pytest.mark.parametrize(
    ("keyword", "element", "says"),
    [
        ("PatientName", _element("PN", _name("*" + "a?" * 250 + "*")), "PatientName is longer than 400 characters."),
        ("PatientName", _element("PN", *[_name("a*")] * 33), "PatientName has 33 patterns, more than 32."),
        ("StudyDescription", _element("LO", "?" * 129), "StudyDescription is longer than 128 characters."),
        ("StudyDescription", _element("LO", "x", *["a*"] * 32), "StudyDescription has 33 patterns, more than 32."),
        ("StudyID", _element("SH", "x" * 33), "StudyID is longer than 32 characters."),
    ],
)
def test_a_key_beyond_what_is_compared_is_refused_by_name(keyword: str, element: JsonElement, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        _study(**{keyword: element})
    assert refused.value.message == says


def test_a_key_at_the_limits_is_answered() -> None:
    query = _study(PatientName=_element("PN", *[_name("D" * 396 + "*")] * 31, _name("Doe*")))
    assert _has(query, PatientName=_element("PN", _name("Doe^Jane")))
    assert _study(PatientName=_element("PN", _name("*" * 5_000))).keys["00100010"] == Universal()
    assert _study(StudyID=_element("SH", "a" + "*" * 20 + "b")).keys["00200010"] == Wild(("a*b",))


def test_the_patterns_of_an_identifier_are_limited_together() -> None:
    def private(count: int, text: str) -> Attributes:
        keys = {f"0021{0x1000 + n:04X}": _element("LT", *[text] * 20) for n in range(count)}
        return _identifier("IMAGE") | keys

    query_from_identifier(private(5, "a*"), root=Root.STUDY, relational=True)
    with pytest.raises(BadInput, match="more than 100 patterns in all keys"):
        query_from_identifier(private(6, "a*"), root=Root.STUDY, relational=True)
    with pytest.raises(BadInput, match="over 32,768 characters of patterns in all"):
        query_from_identifier(private(2, "a" * 1_000 + "*"), root=Root.STUDY, relational=True)


def test_the_keys_of_an_identifier_are_limited_those_in_sequences_too() -> None:
    inner: Attributes = {f"0021{0x1000 + n:04X}": _element("LO") for n in range(600)}
    outer = _identifier("STUDY") | {tags.key(tags.ReferencedStudySequence): _element("SQ", inner)}
    query_from_identifier(outer, root=Root.STUDY, relational=False)
    with pytest.raises(BadInput, match="More than 1,000 keys"):
        query_from_identifier(outer | inner, root=Root.STUDY, relational=False)


def test_wild_cards_count_only_where_the_vr_has_them() -> None:
    assert isinstance(_study(StudyDescription=_element("LO", "a*")).keys["00081030"], Wild)
    assert _study(PatientAge=_element("AS", "0?5Y")).keys["00101010"] == Single(("0?5Y",))


# --- person names -------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "is_match"),
    [
        (_name("doe^jane"), _name("Doe^Jane"), True),
        (_name("DOE^JANE^^"), _name("Doe^Jane"), True),
        (_name("Doe^Jane"), _name("Doe^Jane^^Dr"), False),
        (_name("Doe*"), _name("DOE^JANE^^DR"), True),
        (_name("Doe^*"), _name("Doe"), True),
        (_name("D?e^J*"), _name("Doe^Jane"), True),
        (_name("MÜLLER*"), _name("Müller^Jürgen"), True),
        (_name("Groß*"), _name("GROSS^ANNA"), True),
        (_name("Mu\u0308ller"), _name("Müller"), True),
        (_name("山田*"), _name("Yamada^Tarou", "山田^太郎"), True),
        (_name("", "山田*"), _name("Yamada^Tarou", "山田^太郎"), True),
        (_name("", "", "やまだ*"), _name("Yamada^Tarou", "山田^太郎", "やまだ^たろう"), True),
        (_name("Yamada*", "鈴木*"), _name("Yamada^Tarou", "山田^太郎"), False),
        (_name("Doe"), _name("Doe^Jane"), False),
        (_name("Doe^.*"), _name("Doe^Jane"), False),
        (_name("O'Brien"), _name("o'brien"), True),
    ],
)
def test_names_match_without_regard_to_case_and_by_component_group(
    key: dict[str, str], value: dict[str, str], is_match: bool
) -> None:
    query = _study(PatientName=_element("PN", key))
    assert isinstance(query.keys["00100010"], Name)
    assert _has(query, PatientName=_element("PN", value)) is is_match


def test_a_key_with_another_vr_than_the_dictionarys_is_read_by_the_dictionary() -> None:
    assert isinstance(_study(PatientName=_element("LO", "doe*")).keys["00100010"], Name)
    assert isinstance(_study(StudyDate=_element("LO", "20200101-")).keys["00080020"], Range)
    assert _has(_study(PatientName=_element("LO", "doe*")), PatientName=_element("PN", _name("Doe^Jane")))


# --- ranges -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "vr", "key", "value", "is_match"),
    [
        ("StudyDate", "DA", "20200131", "20200131", True),
        ("StudyDate", "DA", "20200131", "2020.01.31", True),
        ("StudyDate", "DA", "20200131", "20200201", False),
        ("StudyDate", "DA", "20200101-20200131", "20200131", True),
        ("StudyDate", "DA", "20200101-20200131", "20200201", False),
        ("StudyDate", "DA", "-20200131", "18991231", True),
        ("StudyDate", "DA", "20200131-", "20200130", False),
        ("StudyDate", "DA", "20200131-", "20991231", True),
        ("StudyDate", "DA", "20200101-20200131", "20200199", False),
        ("StudyDate", "DA", "20200101-20200131", "never", False),
        ("StudyTime", "TM", "1030", "103059.5", True),
        ("StudyTime", "TM", "1030", "1031", False),
        ("StudyTime", "TM", "10-12", "125959.999", True),
        ("StudyTime", "TM", "1000-1200", "120100", False),
        ("StudyTime", "TM", "-0800", "07:59:59", True),
        ("AcquisitionDateTime", "DT", "2020", "20200615120000.123456", True),
        ("AcquisitionDateTime", "DT", "20200101-20200601", "20200615", False),
        ("AcquisitionDateTime", "DT", "20200615120000+0200", "20200615100000+0000", True),
        ("AcquisitionDateTime", "DT", "202006151200-", "20200615120000-0500", True),
    ],
)
def test_dates_and_times_are_compared_as_such(keyword: str, vr: str, key: str, value: str, is_match: bool) -> None:
    query = query_from_identifier(
        _identifier("IMAGE", **{keyword: _element(vr, key)}), root=Root.STUDY, relational=True
    )
    assert isinstance(query.keys[tags.key(getattr(tags, keyword))], Range)
    assert _has(query, **{keyword: _element(vr, value)}) is is_match


@pytest.mark.parametrize(
    "key", ["yesterday", "2020010", "20200132", "20200101-tomorrow", "20200101-20200102-", "2020*"]
)
def test_what_is_no_date_is_refused_rather_than_guessed(key: str) -> None:
    with pytest.raises(BadInput, match="StudyDate"):
        _study(StudyDate=_element("DA", key))


DATES = st.dates().map(lambda date: date.strftime("%Y%m%d").rjust(8, "0"))


@given(DATES, DATES, DATES)
def test_a_range_of_dates_is_what_comparison_says(low: str, high: str, value: str) -> None:
    query = _study(StudyDate=_element("DA", f"{low}-{high}"))
    assert _has(query, StudyDate=_element("DA", value)) == (low <= value <= high)


@given(st.text(max_size=26))
def test_no_text_makes_a_moment_fail(text: str) -> None:
    for parse in (parse_date, parse_time, parse_date_time):
        moment = parse(text)
        assert moment is None or moment[0] <= moment[1]


def test_date_and_time_are_one_range_where_that_was_negotiated() -> None:
    asked = _identifier("STUDY", StudyDate=_element("DA", "20200101-20200103"), StudyTime=_element("TM", "2200-0400"))
    combined = query_from_identifier(asked, root=Root.STUDY, relational=False, combined_date_time=True)
    separate = query_from_identifier(asked, root=Root.STUDY, relational=False)
    noon = {"StudyDate": _element("DA", "20200102"), "StudyTime": _element("TM", "1200")}
    early = {"StudyDate": _element("DA", "20200101"), "StudyTime": _element("TM", "1200")}
    late = {"StudyDate": _element("DA", "20200103"), "StudyTime": _element("TM", "0430")}
    assert _has(combined, **noon)
    assert not _has(combined, **early)
    assert not _has(combined, **late)
    assert not _has(separate, **noon)


# --- empty values and sequences -----------------------------------------------


def test_two_quotes_ask_for_no_value_where_that_was_negotiated() -> None:
    asked = _identifier("STUDY", AccessionNumber=_element("SH", '""'))
    query = query_from_identifier(asked, root=Root.STUDY, relational=False, empty_value=True)
    assert query.keys["00080050"] == Empty()
    assert _has(query)
    assert _has(query, AccessionNumber=_element("SH"))
    assert not _has(query, AccessionNumber=_element("SH", "A1"))
    assert not _has(query_from_identifier(asked, root=Root.STUDY, relational=False))


CODE = {"00080100": _element("SH", "T-A0100"), "00080102": _element("SH", "SRT")}


def test_a_sequence_matches_when_one_item_answers_all_inner_keys() -> None:
    query = _study(ProcedureCodeSequence=_element("SQ", CODE))
    other = {"00080100": _element("SH", "T-A0100"), "00080102": _element("SH", "DCM")}
    assert _has(query, ProcedureCodeSequence=_element("SQ", other, CODE))
    assert not _has(query, ProcedureCodeSequence=_element("SQ", other))
    assert not _has(query, ProcedureCodeSequence=_element("SQ"))
    assert not _has(query)


@pytest.mark.parametrize("key", [_element("SQ"), _element("SQ", {}), _element("SQ", {"00080100": _element("SH")})])
def test_a_sequence_that_asks_nothing_matches_everything(key: JsonElement) -> None:
    assert _has(_study(ProcedureCodeSequence=key))


def test_a_sequence_key_has_one_item() -> None:
    with pytest.raises(BadInput, match="ProcedureCodeSequence"):
        _study(ProcedureCodeSequence=_element("SQ", CODE, CODE))


# --- levels and roots ---------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "level"),
    [(Root.STUDY, "PATIENT"), (Root.STUDY, ""), (Root.PATIENT, "FRAME"), (Root.PATIENT, "study"), (Root.STUDY, "*")],
)
def test_a_level_must_be_one_of_the_information_model(root: Root, level: str) -> None:
    with pytest.raises(BadInput, match="Query/Retrieve Level"):
        query_from_identifier(_identifier(level), root=root, relational=False)
    with pytest.raises(BadInput):
        query_from_identifier({}, root=root, relational=False)


@pytest.mark.parametrize(
    ("root", "level", "keys", "missing"),
    [
        (Root.PATIENT, "STUDY", {}, "PatientID"),
        (Root.PATIENT, "STUDY", {"PatientID": _element("LO", "47*")}, "PatientID"),
        (Root.PATIENT, "SERIES", {"PatientID": _element("LO", "4711")}, "StudyInstanceUID"),
        (Root.STUDY, "SERIES", {}, "StudyInstanceUID"),
        (Root.STUDY, "SERIES", {"StudyInstanceUID": _element("UI", "1.2", "1.3")}, "StudyInstanceUID"),
        (Root.STUDY, "IMAGE", {"StudyInstanceUID": _element("UI", "1.2")}, "SeriesInstanceUID"),
    ],
)
def test_levels_above_are_fixed_by_one_unique_key_unless_relational(
    root: Root, level: str, keys: dict[str, JsonElement], missing: str
) -> None:
    with pytest.raises(BadInput, match=missing):
        query_from_identifier(_identifier(level, **keys), root=root, relational=False)
    assert query_from_identifier(_identifier(level, **keys), root=root, relational=True).level == Level(level)


def test_a_patient_root_query_at_the_study_level_needs_its_patient() -> None:
    asked = _identifier("STUDY", PatientID=_element("LO", "4711"))
    query = query_from_identifier(asked, root=Root.PATIENT, relational=False)
    assert _has(query, PatientID=_element("LO", "4711"))
    assert not _has(query, PatientID=_element("LO", "4712"))


def test_keys_of_a_level_below_are_left_aside_and_told() -> None:
    query = _study(Modality=_element("CS", "CT"), SeriesInstanceUID=_element("UI", "1.2"))
    assert query.ignored == {"00080060", "0020000E"}
    assert _has(query)
    assert "00080060" not in query.project({})


def test_a_key_that_is_left_aside_may_say_anything() -> None:
    query = _study(AcquisitionDate=_element("DA", "yesterday"), SeriesDescription=_element("LO", *["a*"] * 101))
    assert query.ignored == {"00080022", "0008103E"}
    with pytest.raises(BadInput, match="AcquisitionDate"):
        query_from_identifier(
            _identifier("IMAGE", AcquisitionDate=_element("DA", "yesterday")), root=Root.STUDY, relational=True
        )


PRIVATE = "00211001"
AT_LEVELS = {
    "PatientName": Level.PATIENT,
    "PatientComments": Level.PATIENT,
    "NumberOfPatientRelatedStudies": Level.PATIENT,
    "InstanceAvailability": Level.PATIENT,
    "RetrieveAETitle": Level.PATIENT,
    "StudyDescription": Level.STUDY,
    "StudyComments": Level.STUDY,
    "ModalitiesInStudy": Level.STUDY,
    "NumberOfStudyRelatedSeries": Level.STUDY,
    "InstitutionName": Level.SERIES,
    "StationName": Level.SERIES,
    "Manufacturer": Level.SERIES,
    "NumberOfSeriesRelatedInstances": Level.SERIES,
    "AnatomicRegionsInStudyCodeSequence": Level.IMAGE,
    "AcquisitionDateTime": Level.IMAGE,
    "Rows": Level.IMAGE,
}


@pytest.mark.parametrize("level", Level)
def test_only_what_a_level_holds_is_matched_there_or_answered(level: Level) -> None:
    asked = _identifier(level.value, **{keyword: _element("LO") for keyword in AT_LEVELS}) | {
        PRIVATE: _element("LO", "x"),
        "00321060": _element("LO", "x"),  # Requested Procedure Description, which is nowhere in our lists
    }
    query = query_from_identifier(asked, root=Root.PATIENT, relational=True)
    order = list(Level)
    below = {tags.key(getattr(tags, word)) for word, own in AT_LEVELS.items() if order.index(own) > order.index(level)}
    assert query.ignored == (below | {PRIVATE, "00321060"} if level is not Level.IMAGE else set())
    assert not query.ignored & query.keys.keys()
    assert not query.ignored & query.project({}).keys()
    assert query.matches({}) == (level is not Level.IMAGE)
    assert query.matches({PRIVATE: _element("LO", "x"), "00321060": _element("LO", "x")})


# --- answers ------------------------------------------------------------------


def test_an_answer_holds_the_unique_keys_and_what_was_asked() -> None:
    query = query_from_identifier(
        _identifier(
            "SERIES",
            StudyInstanceUID=_element("UI", "1.2"),
            SeriesDescription=_element("LO"),
            Modality=_element("CS", "C*"),
        ),
        root=Root.STUDY,
        relational=False,
    )
    stored = {
        "0020000D": _element("UI", "1.2"),
        "0020000E": _element("UI", "1.2.3"),
        "00080060": _element("CS", "CT"),
        "00100010": _element("PN", _name("Not^Asked")),
    }
    assert query.project(stored) == {
        "00080060": _element("CS", "CT"),
        "0008103E": _element("LO"),
        "0020000D": _element("UI", "1.2"),
        "0020000E": _element("UI", "1.2.3"),
    }


def test_an_answer_holds_of_a_sequence_what_was_asked() -> None:
    query = _study(ProcedureCodeSequence=_element("SQ", {"00080100": _element("SH")}))
    assert isinstance(query.keys["00081032"], SequenceKey)
    answer = query.project({"00081032": _element("SQ", CODE)})
    assert answer["00081032"] == _element("SQ", {"00080100": _element("SH", "T-A0100")})
    whole = _study(ProcedureCodeSequence=_element("SQ"))
    assert whole.project({"00081032": _element("SQ", CODE)})["00081032"] == _element("SQ", CODE)


def test_keys_are_described_by_keyword_and_never_by_value() -> None:
    query = _study(
        PatientName=_element("PN", _name("Doe*")), StudyDate=_element("DA", "20200101-"), StudyID=_element("SH")
    )
    assert query.describe_keys() == "StudyDate, PatientName"
    assert _study().describe_keys() == "none"


# --- hostile identifiers ------------------------------------------------------

ANY_NAME = st.dictionaries(st.text(max_size=3), st.text(max_size=5))
ANY_VALUE = st.one_of(st.none(), st.text(max_size=20), st.integers(), st.floats(), ANY_NAME)


def _any_element(vr: str, found: list[Any]) -> JsonElement:
    return JsonElement(vr=vr, Value=found)


ANY_ELEMENT = st.builds(
    _any_element,
    st.sampled_from(["LO", "PN", "UI", "DA", "TM", "DT", "IS", "US", "AT", "UN", "OB", "CS"]),
    st.lists(ANY_VALUE, max_size=3),
)


@given(
    st.dictionaries(st.integers(0x00080000, 0x00300000).map(tags.key), ANY_ELEMENT, max_size=5),
    st.dictionaries(st.integers(0x00080000, 0x00300000).map(tags.key), ANY_ELEMENT, max_size=5),
)
def test_no_identifier_makes_matching_fail(asked: Attributes, stored: Attributes) -> None:
    try:
        query = query_from_identifier({**asked, "00080052": _element("CS", "IMAGE")}, root=Root.STUDY, relational=True)
    except BadInput:
        return
    query.matches(stored)
    query.matches(asked)
    query.project(asked)
    query.describe_keys()


@pytest.mark.parametrize(("keyword", "vr"), [("StudyDate", "DA"), ("StudyTime", "TM")])
def test_a_date_or_time_that_is_none_is_answered_with_how_it_is_written(keyword: str, vr: str) -> None:
    with pytest.raises(BadInput, match=f"{keyword} is neither a {vr} value .* Write 0?[0-9]+, or [0-9]+-[0-9]+"):
        _study(**{keyword: _element(vr, "2026/01/31")})
