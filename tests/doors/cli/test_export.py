"""``leadglass export`` and ``delete``: what went in comes out, with a directory that others read."""

import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread  # pyright: ignore[reportUnknownVariableType] - pydicom's os.PathLike
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import BasicTextSRStorage, GrayscaleSoftcopyPresentationStateStorage, SecondaryCaptureImageStorage

from leadglass.dicom.part10 import read_file
from leadglass.dicom.source import Bytes
from leadglass.doors.media.dicomdir import record_type
from tests.doors.cli.clihouse import Cli, file_of, image, uid, write_study
from tests.peers.dcmtk import Dcmtk


def _data_set(content: bytes) -> bytes:
    return content[read_file(Bytes(content)).dataset_offset :]


@contextmanager
def _file_set(path: Path) -> Generator[Any]:
    """Read a file-set with pydicom, and remove the temporary folder it makes for changes."""
    files: Any = FileSet(path)
    try:
        yield files
    finally:
        files._stage["t"].cleanup()


@pytest.fixture
def stocked(cli: Cli, tmp_path: Path) -> Cli:
    write_study(tmp_path / "in", study=1)
    write_study(tmp_path / "in", study=2, PatientName="Φάντασμα^Δέλτα", StudyDescription="Ünïcödé")
    cli.do("import", tmp_path / "in")
    return cli


def test_a_folder_holds_the_data_sets_bit_by_bit(stocked: Cli, tmp_path: Path) -> None:
    said = stocked.do("export", "--study", uid(1), "--study", uid(2), "--out", tmp_path / "out", "--json").json
    assert (said["studies"], said["instances"], said["missing"]) == (2, 12, [])
    sent = {_data_set(path.read_bytes()) for path in (tmp_path / "in").iterdir()}
    got = {_data_set(path.read_bytes()) for path in (tmp_path / "out/DICOM").rglob("IM*")}
    assert got == sent


def test_a_zip_holds_the_same_as_a_folder(stocked: Cli, tmp_path: Path) -> None:
    stocked.do("export", "--query", "PatientID=*", "--out", tmp_path / "out")
    stocked.do("export", "--query", "PatientID=*", "--out", tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        assert file.testzip() is None
        for path in (tmp_path / "out/DICOM").rglob("IM*"):
            assert file.read(str(path.relative_to(tmp_path / "out"))) == path.read_bytes()
        assert "DICOMDIR" in file.namelist()


def test_pydicom_reads_the_directory_and_finds_every_file(stocked: Cli, tmp_path: Path) -> None:
    stocked.do("export", "--query", "StudyDate=20260101", "--out", tmp_path / "out")
    with _file_set(tmp_path / "out/DICOMDIR") as files:
        assert len(files) == 12
        for each in files:
            assert dcmread(each.path).SOPInstanceUID == each.SOPInstanceUID
        assert files.find_values("PatientID") == ["P1", "P2"]
        assert sorted(map(str, files.find_values("PatientName"))) == ["Test^Phantom", "Φάντασμα^Δέλτα"]
        assert len(files.find_values("SeriesInstanceUID")) == 4


def test_dcmtk_reads_the_directory(stocked: Cli, dcmtk: Dcmtk, tmp_path: Path) -> None:
    stocked.do("export", "--query", "StudyDate=20260101", "--out", tmp_path / "out")
    ran = dcmtk("dcmdump", "-q", str(tmp_path / "out/DICOMDIR"))
    assert ran.code == 0, ran.said
    for kind, count in (("PATIENT", 2), ("STUDY", 2), ("SERIES", 4), ("IMAGE", 12)):
        assert ran.out.count(f'"Directory Record" {kind} ') == count
    assert "refFileID" in ran.out
    assert "offset" in ran.out


@pytest.mark.parametrize(
    ("conditions", "instances"),
    [
        (["PatientID=P1"], 6),
        (["PatientID=P*"], 12),
        (["patientid=P1"], 6),
        (["PatientName=test*"], 6),
        (["StudyDate=20251231-20260102", "PatientID=P2"], 6),
        (["ModalitiesInStudy=OT"], 12),
    ],
)
def test_a_query_chooses_studies(stocked: Cli, tmp_path: Path, conditions: list[str], instances: int) -> None:
    options = [word for condition in conditions for word in ("--query", condition)]
    assert stocked.do("export", *options, "--out", tmp_path / "out", "--json").json["instances"] == instances


@pytest.mark.parametrize(
    "arguments",
    [
        ["--query", "PatientID"],
        ["--query", "PatientID="],
        ["--query", "NoSuchKeyword=1"],
        ["--query", "InstanceNumber=1"],
        ["--query", "Modality=OT"],
        ["--study", "not a uid"],
        ["--study", "1.2", "--query", "PatientID=P1"],
        [],
    ],
)
def test_a_question_that_cannot_be_asked_is_wrong_usage_and_exports_nothing(
    stocked: Cli, tmp_path: Path, arguments: list[str]
) -> None:
    assert stocked("export", *arguments, "--out", tmp_path / "out").code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["--study", "1.2.3"], ["--query", "PatientID=NOBODY"]])
@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_what_is_not_here_leaves_no_destination(stocked: Cli, tmp_path: Path, arguments: list[str], name: str) -> None:
    ended = stocked("export", *arguments, "--out", tmp_path / name)
    assert ended.code == 1
    assert "Nothing was exported" in ended.err
    assert not (tmp_path / name).exists()
    assert not list(tmp_path.glob(".*part"))


def test_nothing_is_written_over(stocked: Cli, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    (tmp_path / "file.zip").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("full", "file.zip", "link"):
        ended = stocked("export", "--study", uid(1), "--out", tmp_path / name)
        assert ended.code == 1, name
        assert "Name another --out" in ended.err
    assert (tmp_path / "full/mine").read_text() == (tmp_path / "file.zip").read_text() == "mine"
    stocked.do("export", "--study", uid(1), "--out", tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "why"),
    [("usb/not/mounted/out", "does not exist"), ("usb/out.zip", "does not exist"), ("out.tar", "would be a folder")],
)
def test_what_comes_out_goes_nowhere_else_than_where_it_was_sent(
    stocked: Cli, tmp_path: Path, name: str, why: str
) -> None:
    """A medium that is not mounted: its folder is not made on the machine's own disk."""
    ended = stocked("export", "--study", uid(1), "--out", tmp_path / name)
    assert ended.code == 1
    assert why in ended.err
    assert not list(tmp_path.rglob("*out*"))
    assert not (tmp_path / "usb").exists()


def _damage_one_object(cli: Cli) -> None:
    objects = [path for path in (cli.data / "objects").rglob("*") if path.is_file() and path.stat().st_size]
    content = bytearray(objects[0].read_bytes())
    content[len(content) // 2] ^= 1
    objects[0].write_bytes(content)


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_a_damaged_object_is_named_and_the_others_come_out(stocked: Cli, tmp_path: Path, name: str) -> None:
    _damage_one_object(stocked)
    ended = stocked("export", "--query", "PatientID=*", "--out", tmp_path / name, "--json")
    assert ended.code == 3
    assert ended.json["instances"] == 11
    (missing,) = ended.json["missing"]
    assert missing["reason"]
    if name == "out":
        assert len(list((tmp_path / "out/DICOM").rglob("IM*"))) == 11
    else:
        with zipfile.ZipFile(tmp_path / name) as file:
            assert len([each for each in file.namelist() if "IM" in each.rpartition("/")[2]]) == 11
    fsck = stocked("fsck", "--json")
    assert fsck.code == 1
    assert len(fsck.json["faults"]) == 1


def test_what_is_exported_is_its_owners_alone(stocked: Cli, tmp_path: Path) -> None:
    stocked.do("export", "--study", uid(1), "--out", tmp_path / "out")
    stocked.do("export", "--study", uid(1), "--out", tmp_path / "out.zip")
    for path in (tmp_path / "out", *(tmp_path / "out").rglob("*"), tmp_path / "out.zip"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_export_is_on_record_without_a_path(stocked: Cli, tmp_path: Path) -> None:
    stocked.do("export", "--study", uid(1), "--out", tmp_path / "Doe^John")
    said = stocked.do("audit", "show", "--action", "export", "--study", uid(1), "--json")
    assert [record["outcome"] for record in said.json] == ["permitted", "done"]
    assert said.json[-1]["detail"]["instances"] == 6
    assert "Doe" not in said.out


def test_an_instance_without_names_or_dates_still_gets_its_record(cli: Cli, tmp_path: Path) -> None:
    ds = image()
    for keyword in ("PatientName", "PatientID", "StudyDate", "StudyTime", "SeriesNumber", "InstanceNumber"):
        del ds[keyword]
    (tmp_path / "x").write_bytes(file_of(ds))
    cli.do("import", tmp_path / "x")
    cli.do("export", "--study", uid(1), "--out", tmp_path / "out")
    with _file_set(tmp_path / "out/DICOMDIR") as files:
        assert len(files) == 1


def _export(cli: Cli, folder: Path, *files: Dataset) -> list[Dataset]:
    """Bring files in and out again; give the directory's records as they are read back."""
    (folder / "in").mkdir()
    for number, ds in enumerate(files):
        (folder / "in" / str(number)).write_bytes(file_of(ds))
    cli.do("import", folder / "in")
    studies = [word for study in dict.fromkeys(ds.StudyInstanceUID for ds in files) for word in ("--study", study)]
    cli.do("export", *studies, "--out", folder / "out")
    return list(dcmread(folder / "out/DICOMDIR").DirectoryRecordSequence)


def _of(records: list[Dataset], kind: str) -> list[Dataset]:
    return [record for record in records if record.DirectoryRecordType == kind]


def _filed(records: list[Dataset]) -> list[tuple[str, str, str]]:
    """Give (Patient ID, name, study) as a reader of the directory shows them."""
    filed: list[tuple[str, str, str]] = []
    patient = Dataset()
    for record in records:
        if record.DirectoryRecordType == "PATIENT":
            patient = record
        elif record.DirectoryRecordType == "STUDY":
            filed.append((patient.PatientID, str(patient.PatientName), record.StudyInstanceUID))
    return filed


def _document(sop_class: str, **values: object) -> Dataset:
    ds = image(Modality="SR", SOPClassUID=sop_class, ContentDate="20260102", ContentTime="1010")
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    for keyword in ("PixelData", "Rows", "Columns"):
        del ds[keyword]
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def _observer(moment: str) -> Dataset:
    item = Dataset()
    item.VerifyingOrganization, item.VerificationDateTime = "Ward", moment
    return item


def test_studies_of_patients_without_an_id_are_never_filed_under_one_patient(cli: Cli, tmp_path: Path) -> None:
    records = _export(
        cli,
        tmp_path,
        image(1, PatientID="", PatientName="Alpha^One"),
        image(2, PatientID="", PatientName="Beta^Two"),
        image(2, 2, PatientID="", PatientName="Beta^Two"),
        image(3, PatientID="NOID-1", PatientName="Gamma^Three"),
    )
    assert sorted(_filed(records)) == [
        ("NOID-1", "Gamma^Three", uid(3)),
        ("NOID-2", "Alpha^One", uid(1)),
        ("NOID-3", "Beta^Two", uid(2)),
    ]
    stored = [dcmread(path) for path in (tmp_path / "out/DICOM").rglob("IM*")]
    assert sorted(ds.PatientID or "" for ds in stored) == ["", "", "", "NOID-1"]
    with _file_set(tmp_path / "out/DICOMDIR") as files:
        assert len(files.find(PatientID="NOID-2")) == 1


def test_an_id_of_another_issuer_is_another_patient(cli: Cli, tmp_path: Path) -> None:
    records = _export(
        cli,
        tmp_path,
        image(1, PatientID="7", IssuerOfPatientID="NORTH"),
        image(2, PatientID="7", IssuerOfPatientID="SOUTH"),
        image(3, PatientID="7", IssuerOfPatientID="NORTH"),
    )
    patients = _of(records, "PATIENT")
    assert [(each.PatientID, each.IssuerOfPatientID) for each in patients] == [("7", "NORTH"), ("7", "SOUTH")]
    assert [study for _, _, study in _filed(records)] == [uid(1), uid(3), uid(2)]


def test_a_backslash_in_an_id_does_not_make_two_patients_one(cli: Cli, tmp_path: Path) -> None:
    records = _export(cli, tmp_path, image(1, PatientID=["A", "1"]), image(2, PatientID=["A", "2"]))
    assert len(_of(records, "PATIENT")) == 2


def test_what_a_record_must_have_and_no_instance_gives_is_made_up(cli: Cli, tmp_path: Path) -> None:
    files = [image(1, 1, 1), image(1, 1, 2), image(1, 1, 3, InstanceNumber=1), image(1, 2, 1, SeriesNumber=1)]
    for ds in files:
        for keyword in ("StudyID", "StudyDate", "StudyTime", "Modality"):
            setattr(ds, keyword, None)
    for ds in files[:3]:
        ds.SeriesNumber = None
    files[0].InstanceNumber = files[1].InstanceNumber = None
    records = _export(cli, tmp_path, *files)
    (study,) = _of(records, "STUDY")
    assert (study.StudyID, study.StudyDate, study.StudyTime) == ("NOID-1", "19000101", "000000")
    assert sorted((each.SeriesNumber, each.Modality) for each in _of(records, "SERIES")) == [(1, "OT"), (2, "OT")]
    assert sorted(each.InstanceNumber for each in _of(records, "IMAGE")) == [1, 1, 2, 3]
    stored = [dcmread(path) for path in (tmp_path / "out/DICOM").rglob("IM*")]
    assert not any(ds.StudyDate or ds.StudyID or ds.Modality for ds in stored)


@pytest.mark.parametrize(
    ("values", "moment"),
    [
        ({"SeriesDate": "20260203", "SeriesTime": "0405", "ContentDate": "20260301"}, ("20260203", "0405")),
        ({"AcquisitionDate": "20260204", "ContentDate": "20260204", "ContentTime": "07"}, ("20260204", "07")),
        ({"ContentDate": "20260205"}, ("20260205", "000000")),
        ({"StudyTime": "08", "ContentDate": "20260205", "ContentTime": "09"}, ("20260205", "08")),
        ({"StudyDate": "20260101", "ContentDate": "20260205", "ContentTime": "09"}, ("20260101", "000000")),
    ],
)
def test_the_date_of_a_study_comes_from_its_instances(
    cli: Cli, tmp_path: Path, values: dict[str, str], moment: tuple[str, str]
) -> None:
    ds = image(StudyDate=None, StudyTime=None)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    (study,) = _of(_export(cli, tmp_path, ds), "STUDY")
    assert (study.StudyDate, study.StudyTime) == moment


def test_a_document_has_the_date_of_its_verification_only_when_verified(cli: Cli, tmp_path: Path) -> None:
    observers = [_observer("20260103"), _observer("20260105"), _observer("20260104")]
    verified = _document(BasicTextSRStorage, VerificationFlag="VERIFIED", VerifyingObserverSequence=observers)
    draft = _document(BasicTextSRStorage, SOPInstanceUID=uid(1, 1, 2), InstanceNumber=2)
    draft.VerifyingObserverSequence = [_observer("20260103")]
    first, second = sorted(_of(_export(cli, tmp_path, verified, draft), "SR DOCUMENT"), key=lambda r: r.InstanceNumber)
    assert (first.VerificationFlag, first.VerificationDateTime) == ("VERIFIED", "20260105")
    assert second.VerificationFlag == "UNVERIFIED"
    assert "VerificationDateTime" not in second


def test_a_document_has_the_modifiers_of_its_title_and_nothing_else_of_its_content(cli: Cli, tmp_path: Path) -> None:
    modifier, text = Dataset(), Dataset()
    modifier.RelationshipType, modifier.ValueType, modifier.TextValue = "HAS CONCEPT MOD", "TEXT", "modifier"
    text.RelationshipType, text.ValueType, text.TextValue = "CONTAINS", "TEXT", "finding"
    (record,) = _of(
        _export(cli, tmp_path, _document(BasicTextSRStorage, ContentSequence=[text, modifier])), "SR DOCUMENT"
    )
    assert [item.TextValue for item in record.ContentSequence] == ["modifier"]


def test_a_presentation_has_the_series_it_applies_to(cli: Cli, tmp_path: Path) -> None:
    series, reference = Dataset(), Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = SecondaryCaptureImageStorage, uid(1, 1, 9)
    series.SeriesInstanceUID, series.ReferencedImageSequence = uid(1, 1), [reference]
    state = _document(GrayscaleSoftcopyPresentationStateStorage, ReferencedSeriesSequence=[series])
    other = _document(GrayscaleSoftcopyPresentationStateStorage, SOPInstanceUID=uid(1, 1, 2), InstanceNumber=2)
    first, second = sorted(_of(_export(cli, tmp_path, state, other), "PRESENTATION"), key=lambda r: r.InstanceNumber)
    assert first.ReferencedSeriesSequence == state.ReferencedSeriesSequence
    assert "ReferencedSeriesSequence" not in second
    assert (first.ContentLabel, first.PresentationCreationDate) == ("UNNAMED", "20260102")


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "IMAGE"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "SR DOCUMENT"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "KEY OBJECT DOC"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PRESENTATION"),
        ("1.2.840.10008.5.1.4.1.1.481.1", "IMAGE"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "RT DOSE"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "RT STRUCTURE SET"),
        ("1.2.840.10008.5.1.4.1.1.481.5", "RT PLAN"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "WAVEFORM"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "ENCAP DOC"),
        ("1.2.840.10008.5.1.4.1.1.66", "RAW DATA"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "IMAGE"),
        ("1.2.840.10008.5.1.4.1.1.66.5", "SURFACE"),
        ("1.2.840.10008.5.1.4.1.1.4", "IMAGE"),
        ("1.2.840.10008.5.1.4.1.1.4.2", "SPECTROSCOPY"),
        ("1.2.840.10008.5.1.4.1.1.4.1", "IMAGE"),
        ("1.2.3.4", "PRIVATE"),
    ],
)
def test_each_sop_class_has_its_type_of_record(sop_class: str, kind: str) -> None:
    assert record_type(sop_class) == kind


# --- delete -------------------------------------------------------------------


def test_delete_takes_the_study_and_only_the_study(stocked: Cli, tmp_path: Path) -> None:
    said = stocked.do("delete", "--study", uid(1), "--yes", "--json").json
    assert said["instances"] == 6
    assert stocked("export", "--study", uid(1), "--out", tmp_path / "gone").code == 1
    stocked.do("export", "--study", uid(2), "--out", tmp_path / "here")
    assert stocked("delete", "--study", uid(1), "--yes").code == 1
    stocked.do("fsck")


def test_delete_does_not_go_ahead_without_somebody_to_ask(stocked: Cli, tmp_path: Path) -> None:
    ended = stocked("delete", "--study", uid(1))
    assert ended.code == 2
    assert "--yes" in ended.err
    stocked.do("export", "--study", uid(1), "--out", tmp_path / "here")
