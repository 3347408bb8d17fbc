"""The pages of a study over the real archive: what is shown to whom, and what is not."""

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any, cast

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from leadglass.doors.pages.page import PAGE_POLICY
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.masking import without_identity
from leadglass.policy.scope import Field, Scope
from tests.callers import device
from tests.doors.pages.study.pageshouse import READER, PagesHouse, main_of, pages
from tests.vault.sets import EXPLICIT, data_set, encoded

STUDY = "1.2.3.4"
EVIL = "\"'><script>alert(1)</script>\x1b[31m\x00{{7*7}}‮"
REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_PIXELS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "SamplesPerPixel",
    "PhotometricInterpretation",
)  # fmt: skip
NO_IMAGE: dict[str, object] = {}
NO_IMAGE.update(dict.fromkeys(_PIXELS))


def _ct(number: int, **more: object) -> bytes:
    pixels = np.full((16, 16), 100 * number, dtype="<u2")
    given: dict[str, object] = {
        "SeriesInstanceUID": "1.2.3.4.2",
        "SeriesNumber": 2,
        "SeriesDescription": "Axial",
        "SOPInstanceUID": f"1.2.3.4.2.{number}",
        "InstanceNumber": number,
        "Rows": 16,
        "Columns": 16,
        "PixelData": pixels.tobytes(),
    }
    return encoded(data_set(**(given | more)))


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "99TEST", meaning
    return code


def _report() -> bytes:
    said, number, unit, inner = Dataset(), Dataset(), Dataset(), Dataset()
    said.RelationshipType, said.ValueType = "CONTAINS", "TEXT"
    said.ConceptNameCodeSequence = Sequence([_code("1", "Finding")])
    said.TextValue = "Nothing to see.\nReally."
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "mm", "UCUM", "millimeter"
    inner.NumericValue, inner.MeasurementUnitsCodeSequence = "12.5", Sequence([unit])
    number.RelationshipType, number.ValueType = "CONTAINS", "NUM"
    number.ConceptNameCodeSequence = Sequence([_code("2", "Length")])
    number.MeasuredValueSequence = Sequence([inner])
    odd = Dataset()
    odd.RelationshipType = "CONTAINS"  # no value type, no name, no value
    picture, reference = Dataset(), Dataset()
    picture.RelationshipType, picture.ValueType = "CONTAINS", "IMAGE"
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.2.2"
    picture.ReferencedSOPSequence = Sequence([reference])
    return encoded(
        data_set(
            **NO_IMAGE,
            SOPClassUID=REPORT,
            Modality="SR",
            SeriesInstanceUID="1.2.3.4.3",
            SOPInstanceUID="1.2.3.4.3.1",
            ConceptNameCodeSequence=Sequence([_code("0", "Radiology Report")]),
            ContentSequence=Sequence([said, number, odd, picture]),
        )
    )


def _hostile() -> bytes:
    keywords = (
        "PatientName", "PatientID", "StudyDescription", "SeriesDescription", "AccessionNumber",
        "ProtocolName", "InstitutionName", "ReferringPhysicianName",
    )  # fmt: skip
    given: dict[str, object] = dict.fromkeys(keywords, EVIL)
    given |= {"BodyPartExamined": EVIL[:-1]}  # a code string has no other characters than those of ASCII
    given |= {"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1", "SOPInstanceUID": "1.2.9.1.1"}
    made = data_set(**(given | {"ImageComments": "X" * 9_000, "PatientComments": EVIL * 300}))
    block = made.private_block(0x0011, "LEADGLASS <b>TEST</b>", create=True)
    block.add_new(0x01, "LO", EVIL)
    return encoded(made)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesHouse]:
    """Three slices, a report and a PDF; another study of the same patient; one of somebody else; a hostile one."""
    with pages(tmp_path_factory.mktemp("studies")) as house:
        for number in (1, 2, 3):
            house.house.store(_ct(number), EXPLICIT)
        house.house.store(_report(), EXPLICIT)
        document: dict[str, object] = {
            "SOPClassUID": PDF,
            "Modality": "DOC",
            "SeriesInstanceUID": "1.2.3.4.5",
            "SOPInstanceUID": "1.2.3.4.5.1",
            "MIMETypeOfEncapsulatedDocument": "application/pdf",
            "EncapsulatedDocument": b"%PDF-1.4 made up %%EOF\n",
            "EncapsulatedDocumentLength": 22,
        }
        house.house.store(encoded(data_set(**(NO_IMAGE | document))), EXPLICIT)
        earlier = {"StudyInstanceUID": "1.2.7", "SeriesInstanceUID": "1.2.7.1", "StudyDescription": "Earlier"}
        house.house.store(encoded(data_set(**earlier)), EXPLICIT)
        other = {"StudyInstanceUID": "1.2.8", "SeriesInstanceUID": "1.2.8.1", "PatientID": "47*", "PatientName": "Roe"}
        house.house.store(encoded(data_set(**other)), EXPLICIT)
        house.house.store(_hostile(), EXPLICIT)
        yield house


@pytest.fixture(autouse=True)
def _reader(house: PagesHouse) -> Iterator[None]:
    yield
    house.caller = device("READER", *READER)


def _link(scope: Scope, *actions: Action, **more: object) -> Caller:
    return replace(device("somebody", *actions, scope=scope), kind=CallerKind.LINK, **more)  # pyright: ignore[reportArgumentType]


# --- the study ----------------------------------------------------------------


def test_a_study_is_shown_with_its_series_and_what_else_there_is_of_the_patient(house: PagesHouse) -> None:
    got = house.get(f"/studies/{STUDY}")
    said = main_of(got)
    for word in ("Doe, Jane", "4711", "1970-01-01", "female", "2026-01-02 10:11", "Thorax", "Axial", "3 images"):
        assert word in said
    assert 'href="/look/1.2.3.4/1.2.3.4.2"' in got.body.decode()
    assert 'href="/documents/1.2.3.4/1.2.3.4.3/1.2.3.4.3.1"' in got.body.decode()
    assert 'href="/studies/1.2.7"' in got.body.decode()
    assert "1.2.8" not in got.body.decode(), "somebody else, whose ID is a wild card"
    assert "/audit?" not in got.body.decode()
    assert "/delete" not in got.body.decode()


def test_an_id_that_is_a_wild_card_finds_nobody_else(house: PagesHouse) -> None:
    said = main_of(house.get("/studies/1.2.8"))
    assert "Roe" in said
    assert "Other studies" not in said


def test_what_is_not_here_and_what_is_not_the_callers_are_the_same_page(house: PagesHouse) -> None:
    house.caller = device("READER", *READER, scope=Scope.where(Field.STUDY, "1.2.7"))
    paths = (
        "/studies/{}",
        "/look/{}",
        "/studies/{}/download",
        "/studies/{}/delete",
        "/documents/{}/1.2.3.4.3/1.2.3.4.3.1",
    )
    for path in paths:
        outside, nowhere = house.get(path.format(STUDY)), house.get(path.format("1.9.9.9"))
        assert outside.status == nowhere.status == 404, path
        assert outside.body == nowhere.body, path
        assert "There is nothing here" in main_of(outside)
    for odd in ("x", "1..2", "1" * 65, "%00", "..%2f"):
        assert house.get(f"/studies/{odd}").status == 404


def test_other_studies_are_those_that_the_caller_may_see(house: PagesHouse) -> None:
    house.caller = device("READER", *READER, scope=Scope.where(Field.STUDY, STUDY))
    got = house.get(f"/studies/{STUDY}")
    assert got.status == 200
    assert "1.2.7" not in got.body.decode()


def test_whom_a_study_is_of_is_kept_from_who_may_not_know(house: PagesHouse) -> None:
    house.caller = device("RESEARCH", Action.FIND, Action.GET, view=without_identity())
    paths = (
        f"/studies/{STUDY}", f"/look/{STUDY}", "/documents/1.2.3.4/1.2.3.4.3/1.2.3.4.3.1",
        "/studies/1.2.3.4/series/1.2.3.4.2/instances/1.2.3.4.2.1", "/studies/1.2.3.4/series/1.2.3.4.2",
    )  # fmt: skip
    for path in paths:
        got = house.get(path)
        assert got.status == 200, path
        assert "Doe" not in got.body.decode(), path
        assert "4711" not in got.body.decode(), path
    assert "kept from you" in main_of(house.get(f"/studies/{STUDY}"))
    withheld = main_of(house.get("/documents/1.2.3.4/1.2.3.4.3/1.2.3.4.3.1"))
    assert "This object is not shown to you" in withheld
    assert "Nothing to see" not in withheld
    assert house.get("/documents/1.2.3.4/1.2.3.4.5/1.2.3.4.5.1/file?show=1").status != 200


def test_whatever_a_study_says_of_itself_is_text_and_no_more(house: PagesHouse) -> None:
    at = "1.2.9/series/1.2.9.1"
    paths = (
        "/studies/1.2.9", "/look/1.2.9", f"/studies/{at}", f"/studies/{at}/instances/1.2.9.1.1",
        "/documents/1.2.9/1.2.9.1/1.2.9.1.1",
    )  # fmt: skip
    for path in paths:
        body = house.get(path).body.decode()
        assert "<script>alert" not in body, path
        assert "&lt;script&gt;alert" in body or "script" not in body.partition("<main")[2], path
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f‮]", body), path
        assert "{{7*7}}" in unescape(body) or "49" not in body
        assert not re.search(r"[^<>\s]{3000}", body), "nothing is longer than its bound"
        for value in re.findall(r'="([^"]*)"', body):
            assert "<" not in value, path


def test_a_page_lets_nothing_run_but_our_own_files(house: PagesHouse) -> None:
    for path in (f"/studies/{STUDY}", f"/look/{STUDY}", "/documents/1.2.3.4/1.2.3.4.3/1.2.3.4.3.1"):
        assert house.get(path).headers["content-security-policy"] == PAGE_POLICY
    got = house.get("/documents/1.2.3.4/1.2.3.4.5/1.2.3.4.5.1")
    assert got.headers["content-security-policy"] == PAGE_POLICY + "; frame-src 'self'"


# --- by a link ----------------------------------------------------------------


def test_who_came_by_a_link_sees_what_was_shared_and_no_way_to_anything_else(house: PagesHouse) -> None:
    house.caller = _link(Scope.where(Field.STUDY, STUDY), Action.FIND, Action.LOOK)
    for path in (f"/look/{STUDY}", "/look/1.2.3.4/1.2.3.4.2/1.2.3.4.2.3", "/documents/1.2.3.4/1.2.3.4.3/1.2.3.4.3.1"):
        got = house.get(path)
        assert got.status == 200, path
        body = got.body.decode()
        links = set(re.findall(r'href="(/[^"?]*)', body)) - {"/", "/static/leadglass.css", "/static/leadglass.svg"}
        allowed = (f"/look/{STUDY}", f"/documents/{STUDY}/", f"/dicom-web/studies/{STUDY}/")
        assert all(each == "/shared" or each.startswith(allowed) for each in links), links
        assert "1.2.7" not in body
        assert "/viewer" not in body
    assert house.get("/look/1.2.7").status == 404
    assert "To what was shared with you" in main_of(house.get("/look/1.2.7"))
    assert house.get(f"/studies/{STUDY}/download").status == 403
    paper = "/documents/1.2.3.4/1.2.3.4.5/1.2.3.4.5.1"
    assert house.get(f"{paper}/file?show=1").status == 200, "a document is looked at as itself"
    assert house.get(f"{paper}/file").status == 403
    assert f"{paper}/file?show=1" in house.get(paper).body.decode()
    assert f'{paper}/file"' not in house.get(paper).body.decode()
    assert house.get("/look/1.2.3.4/1.2.3.4.2", "application/json").status == 200


def test_a_link_for_files_gives_them(house: PagesHouse) -> None:
    house.caller = _link(Scope.where(Field.STUDY, STUDY), Action.FIND, Action.GET, Action.EXPORT)
    assert "/viewer/viewer?StudyInstanceUIDs=1.2.3.4" in house.get(f"/look/{STUDY}").body.decode()
    assert house.get(f"/studies/{STUDY}/download").status == 200


# --- files --------------------------------------------------------------------


def test_a_download_is_a_zip_with_a_dicomdir_and_every_file_as_it_came(house: PagesHouse, tmp_path: Path) -> None:
    got = house.get(f"/studies/{STUDY}/download")
    assert got.status == 200
    assert got.headers["content-type"] == "application/zip"
    assert got.headers["content-disposition"] == 'attachment; filename="study.zip"'
    with zipfile.ZipFile(io.BytesIO(got.body)) as packed:
        assert packed.testzip() is None
        names = packed.namelist()
        packed.extractall(tmp_path)
    assert len(names) == 6
    assert names[-1] == "DICOMDIR"
    kinds = [record.DirectoryRecordType for record in _read(tmp_path / "DICOMDIR").DirectoryRecordSequence]
    assert sorted(kinds) == sorted(["PATIENT", "STUDY", *["SERIES"] * 3, *["IMAGE"] * 3, "SR DOCUMENT", "ENCAP DOC"])
    slices = {encoded_of(tmp_path / name) for name in names if name.startswith("DICOM/")}
    assert _ct(1) in slices
    assert b"Doe" not in "".join(names).encode()
    done = [event for event in house.house.events("permitted") if event.action == "export"]
    assert done
    assert done[-1].study_uid == STUDY


def _read(source: object) -> Dataset:
    return cast("Dataset", cast("Any", pydicom).dcmread(source))


def encoded_of(path: Path) -> bytes:
    data = path.read_bytes()
    meta = int.from_bytes(data[140:144], "little")
    return data[144 + meta :]


def test_who_may_look_and_not_take_gets_no_file(house: PagesHouse) -> None:
    house.caller = device("READER", Action.FIND, Action.GET)
    body = house.get(f"/studies/{STUDY}").body.decode()
    assert "/download" not in body
    assert house.get(f"/studies/{STUDY}/download").status == 403
    assert house.get("/studies/1.2.3.4/series/1.2.3.4.2/instances/1.2.3.4.2.1/file").status == 403


def test_one_instance_is_a_dicom_file(house: PagesHouse) -> None:
    got = house.get("/studies/1.2.3.4/series/1.2.3.4.2/instances/1.2.3.4.2.1/file")
    assert got.status == 200
    assert _read(io.BytesIO(got.body)).SOPInstanceUID == "1.2.3.4.2.1"
    assert got.body.endswith(_ct(1))


def test_masked_files_leave_masked_and_what_no_mask_reaches_is_named(house: PagesHouse, tmp_path: Path) -> None:
    house.caller = device("RESEARCH", *READER, view=without_identity())
    got = house.get(f"/studies/{STUDY}/download")
    with zipfile.ZipFile(io.BytesIO(got.body)) as packed:
        names = packed.namelist()
        assert "LEFT-OUT.TXT" in names
        assert b"1.2.3.4.3.1" in packed.read("LEFT-OUT.TXT")
        for name in names:
            assert b"Doe" not in packed.read(name), name
    assert sum(name.startswith("DICOM/") for name in names) == 3


def test_a_pdf_is_shown_as_one_in_a_sandbox_and_nothing_else_is(house: PagesHouse) -> None:
    at = "/documents/1.2.3.4/1.2.3.4.5/1.2.3.4.5.1/file"
    for path, disposition in ((f"{at}?show=1", "inline"), (at, "attachment")):
        got = house.get(path)
        assert got.status == 200
        assert got.body == b"%PDF-1.4 made up %%EOF"
        assert got.headers["content-type"] == "application/pdf"
        assert got.headers["content-disposition"].startswith(disposition)
        assert "sandbox" in got.headers["content-security-policy"]
        assert "default-src 'none'" in got.headers["content-security-policy"]
    assert house.get("/documents/1.2.3.4/1.2.3.4.2/1.2.3.4.2.1/file").status == 404


# --- deleting -----------------------------------------------------------------


def test_a_study_is_deleted_by_who_typed_how_much_it_is(house: PagesHouse) -> None:
    gone = {"StudyInstanceUID": "1.2.11", "SeriesInstanceUID": "1.2.11.1", "PatientID": "9"}
    house.house.store(encoded(data_set(**gone)), EXPLICIT)
    house.caller = device("READER", *READER)
    assert "may not delete" in main_of(house.get("/studies/1.2.11/delete"))
    assert house.post("/studies/1.2.11/delete", typed="1").status == 403
    house.caller = device("TECH", *READER, Action.DELETE)
    assert "/studies/1.2.11/delete" in house.get("/studies/1.2.11").body.decode()
    said = main_of(house.get("/studies/1.2.11/delete"))
    assert "A backup of the whole archive still opens it until that backup is destroyed." in said
    wrong = house.post("/studies/1.2.11/delete", typed="2")
    assert wrong.status == 400
    assert "Nothing was deleted" in main_of(wrong)
    assert house.get("/studies/1.2.11").status == 200
    assert "deleted" in main_of(house.post("/studies/1.2.11/delete", typed="1"))
    assert house.get("/studies/1.2.11").status == 404


# --- attributes ---------------------------------------------------------------


def test_attributes_are_a_table_with_private_ones_and_sequences(house: PagesHouse) -> None:
    said = main_of(house.get("/studies/1.2.9/series/1.2.9.1/instances/1.2.9.1.1"))
    assert "(0010,0020)" in said
    assert "LEADGLASS &lt;b&gt;TEST&lt;/b&gt;" in said
    assert "private" in said
    said = main_of(house.get("/studies/1.2.3.4/series/1.2.3.4.3/instances/1.2.3.4.3.1"))
    assert "Item 1" in said
    assert "Nothing to see." in said
    assert "4 items" in said


def test_attributes_can_be_searched_without_a_script_and_without_a_trace_in_an_address(house: PagesHouse) -> None:
    at = "/studies/1.2.3.4/series/1.2.3.4.2/instances/1.2.3.4.2.1"
    for sought, holds in (
        ("doe^", False),
        ("Doe, J", True),
        ("0010,0020", True),
        ("00100020", True),
        ("patientid", True),
    ):
        said = main_of(house.post(at, sought=sought))
        assert ("(0010,00" in said) is holds, sought
        assert "(0008,0060)" not in said
    nothing = main_of(house.post(at, sought="no such thing"))
    assert "No attribute holds that" in nothing


# --- looking ------------------------------------------------------------------


def test_images_follow_each_other_by_links_alone(house: PagesHouse) -> None:
    got, seen = house.get(f"/look/{STUDY}"), list[str]()
    while True:
        body = got.body.decode()
        seen += re.findall(r'id="where"[^>]*>([^<]*)<', body)
        following = re.search(r'data-go="after" href="([^"]+)"', body)
        if following is None:
            break
        got = house.get(unescape(following[1]))
    assert seen == ["Image 1 of 3", "Image 2 of 3", "Image 3 of 3"]
    assert 'data-go="before" href="/look/1.2.3.4/1.2.3.4.2/1.2.3.4.2.2?frame=last"' in got.body.decode()


def test_how_gray_is_shown_goes_along(house: PagesHouse) -> None:
    body = unescape(house.get("/look/1.2.3.4/1.2.3.4.2/1.2.3.4.2.2?window=lung&invert=1").body.decode())
    assert "/frames/1/picture?viewport=1024,1024&window=-600,1500" in body
    assert 'class="stage inverted"' in body
    assert 'data-go="after" href="/look/1.2.3.4/1.2.3.4.2/1.2.3.4.2.3?window=lung&invert=1"' in body
    automatic = unescape(house.get("/look/1.2.3.4/1.2.3.4.2/1.2.3.4.2.2?window=automatic").body.decode())
    assert "frames/1/picture?viewport=512,512&window=automatic" in automatic
    at = "/look/1.2.3.4/1.2.3.4.2/1.2.3.4.2.2/frames/1/picture"
    picture = house.get(f"{at}?viewport=64,64&window=automatic", "image/*")
    assert Image.open(io.BytesIO(picture.body)).size == (16, 16), "the browser makes it larger, not the line"
    again = house.get(f"{at}?viewport=64,64&window=automatic", "image/*", if_none_match=picture.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert house.get(f"{at}?viewport=64,64&window=1,2,3,4").status == 400
    assert house.get(at.replace("frames/1", "frames/2")).status == 404
    for odd in ("frame=0", "frame=99999999999", "frame=x", "window=%22%3E", "invert=2"):
        got = house.get(f"/look/1.2.3.4/1.2.3.4.2/1.2.3.4.2.2?{odd}")
        assert got.status == 200
        assert "Image 2 of 3" in main_of(got)


def test_an_image_that_says_nothing_of_gray_is_shown_automatically(house: PagesHouse) -> None:
    study = {"StudyInstanceUID": "1.2.10", "PatientID": "WINDOW"}
    bare = {"SeriesInstanceUID": "1.2.10.1", "SOPInstanceUID": "1.2.10.1.1"}
    says = {"SeriesInstanceUID": "1.2.10.2", "SOPInstanceUID": "1.2.10.2.1", "WindowCenter": "40", "WindowWidth": "400"}
    for each in (bare, says):
        house.house.store(encoded(data_set(**study, **each)), EXPLICIT)
    without = unescape(house.get("/look/1.2.10/1.2.10.1").body.decode())
    assert 'data-window="automatic" data-implied="1"' in without
    assert 'href="/look/1.2.10/1.2.10.1/1.2.10.1.1?frame=1&invert=1"' in without, "other images are as they say"
    assert "picture?viewport=1024,1024&window=automatic" in without
    assert "As stored" not in without
    stored = unescape(house.get("/look/1.2.10/1.2.10.2").body.decode())
    assert "picture?viewport=1024,1024 " in stored
    assert re.search(r'aria-current="true">As stored<', stored)


def test_a_script_is_told_what_is_in_a_series(house: PagesHouse) -> None:
    got = house.get("/look/1.2.3.4/1.2.3.4.2", "application/json")
    assert got.body == (
        b'{"images":[["1.2.3.4.2.1",1],["1.2.3.4.2.2",1],["1.2.3.4.2.3",1]],"rate":15.0,"is_whole":true}'
    )


def test_a_report_is_text_with_units_and_links_and_odd_entries_do_no_harm(house: PagesHouse) -> None:
    got = house.get("/look/1.2.3.4/1.2.3.4.3")
    assert (got.status, got.headers["location"]) == (303, "/documents/1.2.3.4/1.2.3.4.3/1.2.3.4.3.1")
    got = house.get(got.headers["location"])
    said = main_of(got)
    for word in ("Radiology Report", "Finding", "Nothing to see.", "Length", "12.5 mm", "an entry without words"):
        assert word in said
    assert 'href="/look/1.2.3.4/1.2.3.4.2/1.2.3.4.2.2"' in got.body.decode()
