import csv
import warnings
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from pydicom import config

from leadglass.dicom import dictionary, tags, uids
from leadglass.dicom.inflate import plain
from leadglass.dicom.ingest import Description, describe
from leadglass.dicom.model import bulk_location, is_encapsulated_bulk
from leadglass.dicom.recode import recode
from leadglass.dicom.source import Bytes
from leadglass.errors import BadInput
from tests.corpus import CorpusFile
from tests.dicom.differences import JSON_DIFFERS, differences, pydicom_json
from tests.dicom.sets import CT, LIMITS, as_pydicom, element, even, stored

UIDS = b"".join(
    (
        element(tags.SOPClassUID, "UI", even(CT, "\0")),
        element(tags.SOPInstanceUID, "UI", b"1.2.3.4\0"),
        element(tags.PatientID, "LO", b"4711"),
        element(tags.StudyInstanceUID, "UI", b"1.2.3\0"),
        element(tags.SeriesInstanceUID, "UI", b"1.2.3.5\0"),
    )
)


def _describe(data: bytes, syntax: str = uids.EXPLICIT_VR_LITTLE_ENDIAN) -> Description:
    return describe(Bytes(data), syntax, LIMITS)


def test_a_description_says_what_the_instance_is() -> None:
    said = _describe(UIDS)
    assert (said.sop_class_uid, said.sop_instance_uid) == (CT, "1.2.3.4")
    assert (said.study_uid, said.series_uid, said.patient_id) == ("1.2.3", "1.2.3.5", "4711")
    assert said.issuer_of_patient_id == ""
    assert said.frames is None
    assert said.warnings == ()


@pytest.mark.parametrize(
    "missing", [tags.SOPClassUID, tags.SOPInstanceUID, tags.StudyInstanceUID, tags.SeriesInstanceUID]
)
@pytest.mark.parametrize("value", [None, b"", b"1.2\\1.3\0", b"../../../x", b"1.2.abc\0"])
def test_without_its_four_uids_nothing_is_kept(missing: int, value: bytes | None) -> None:
    start = UIDS.index(element(missing, "UI", b"")[:6])
    length = 8 + UIDS[start + 6]
    changed = b"" if value is None else element(missing, "UI", value)
    with pytest.raises(BadInput, match=dictionary.keyword(missing)) as caught:
        _describe(UIDS[:start] + changed + UIDS[start + length :])
    assert "abc" not in caught.value.message


def test_a_media_directory_is_not_an_instance() -> None:
    with pytest.raises(BadInput, match="DICOMDIR"):
        _describe(element(tags.DirectoryRecordSequence, "SQ", b"") + UIDS)


def test_a_patient_id_beyond_reason_is_refused() -> None:
    data = UIDS.replace(element(tags.PatientID, "LO", b"4711"), element(tags.PatientID, "LO", b"x" * 60_000))
    with pytest.raises(BadInput, match="Patient ID is longer"):
        _describe(data)


def test_a_wrong_transfer_syntax_is_named() -> None:
    with pytest.raises(BadInput, match="looks like Explicit VR"):
        _describe(UIDS, uids.IMPLICIT_VR_LITTLE_ENDIAN)
    with pytest.raises(BadInput, match="not one of the Standard"):
        _describe(UIDS, "1.2.3.4.5.6")


def test_a_private_transfer_syntax_is_read_by_its_look_when_it_was_listed() -> None:
    limits = replace(LIMITS, private_transfer_syntaxes=frozenset({"1.2.3.4.5.6"}))
    implicit = recode(Bytes(UIDS), uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN, LIMITS)
    for data in (UIDS, implicit):
        said = describe(Bytes(data), "1.2.3.4.5.6", limits)
        assert said.patient_id == "4711"
        assert said.warnings == ("the transfer syntax is private: no frame can be told apart",)


# --- the corpus ---------------------------------------------------------------

CANNOT_SAY_WHO = frozenset(
    {
        "charset/chrSQEncoding.dcm",
        "charset/chrSQEncoding1.dcm",
        "fileset/DICOMDIR",
        "fo-dicom/FreezePattern.dcm",
        "fo-dicom/multiframe.dcm",
        "pydicom-data/HTJ2KLossless_08_RGB.dcm",
        "pydicom-data/HTJ2K_08_RGB.dcm",
        "pydicom-data/JLSL_08_07_0_1F.dcm",
        "pydicom-data/JLSL_16_15_1_1F.dcm",
        "pydicom-data/JLSL_RGB_ILV0.dcm",
        "pydicom-data/JLSL_RGB_ILV1.dcm",
        "pydicom-data/JLSL_RGB_ILV2.dcm",
        "pydicom-data/JLSN_RGB_ILV0.dcm",
        "pydicom/JPEGLSNearLossless_08.dcm",
        "pydicom/JPEGLSNearLossless_16.dcm",
        "pydicom/SC_rgb_jls_lossy_line.dcm",
        "pydicom/SC_rgb_jls_lossy_sample.dcm",
        "pydicom/UN_sequence.dcm",
        "pydicom/empty_charset_LEI.dcm",
        "pydicom/hotiron.dcm",
        "pydicom/nested_priv_SQ.dcm",
        "pydicom/pet20step.dcm",
        "pydicom/priv_SQ.dcm",
        "pylibjpeg-data/JPEGLosslessP14SV1_1s_1f_u_16_16.dcm",
        *(f"worklist/wklist{number}.wl" for number in range(1, 7)),
    }
)
"""Well-formed files that are no instances: a UID is missing, or it is a directory or a worklist answer."""


def test_every_good_file_of_the_corpus_is_described_as_the_manifest_says(manifest: tuple[CorpusFile, ...]) -> None:
    described = 0
    for row in manifest:
        if row.is_malformed:
            continue
        file = stored(row)
        if row.name in CANNOT_SAY_WHO:
            with pytest.raises(BadInput):
                describe(file.source, file.syntax, LIMITS)
            continue
        said = describe(file.source, file.syntax, LIMITS)
        described += 1
        assert said.sop_class_uid == row.sop_class_uid, row.name
        assert said.sop_instance_uid == row.sop_instance_uid, row.name
        assert (said.study_uid, said.series_uid) == (row.study_uid, row.series_uid), row.name
    assert described > 400


def _answer(row: CorpusFile) -> Description | BadInput:
    try:
        file = stored(row)
        return describe(file.source, file.syntax, LIMITS)
    except BadInput as error:
        return error


def test_every_damaged_file_gets_the_answer_it_deserves(manifest: tuple[CorpusFile, ...]) -> None:
    wrong: dict[str, str] = {}
    for row in manifest:
        if not row.is_malformed:
            continue
        answer = _answer(row)
        must_be_refused = row.expected.startswith(("reject", "refuse by expansion", "refuse, no recursion"))
        has_choice = " or " in row.expected or "(or" in row.expected
        must_be_kept = row.expected.startswith(
            (
                "store,",
                "ignore",
                "tolerate, ",
                "refuse to render",
                "flag",
                "serve",
                "never serve",
                "do not draw",
                "no div",
            )
        ) or row.expected in ("store", "refuse; never allocate")
        if must_be_refused and not has_choice and isinstance(answer, Description):
            wrong[row.name] = f"kept, should be: {row.expected}"
        if must_be_kept and isinstance(answer, BadInput):
            wrong[row.name] = f"refused ({answer.message}), should be: {row.expected}"
    assert wrong == {}


# Rows whose expectation leaves a choice, or says nothing: what this archive decides.
DECIDED = {
    "own/trunc_in_pixels.dcm": "refused",
    "own/trailing_garbage.dcm": "refused",
    "own/no_preamble_no_meta.dcm": "kept",
    "own/group_length_zero.dcm": "kept",
    "own/ts_says_implicit.dcm": "refused",
    "own/ts_says_explicit.dcm": "refused",
    "own/nest_100.dcm": "refused",
    "own/duplicate_tag.dcm": "refused",
    "own/tags_out_of_order.dcm": "kept",
    "own/vr_unknown.dcm": "refused",
    "own/rows_65535.dcm": "kept",
    "own/no_sequence_delimiter.dcm": "refused",
    "own/jpeg_bigger_than_rows.dcm": "kept",
    "own/nul_in_strings.dcm": "kept",
    "own/preamble_pe.dcm": "kept",
    "fo-dicom/GH179A.dcm": "kept",
    "fo-dicom/GH1146.dcm": "kept",
    "fo-dicom/GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm": "kept",
    "pydicom/ExplVR_BigEndNoMeta.dcm": "kept",
    "pydicom/MR_truncated.dcm": "refused",
    "pydicom/badVR.dcm": "kept",
    "pydicom-data/bad_sequence.dcm": "refused",
    "pwnlab/cat20/TC0965_cmd_group_in_dataset.dcm": "refused",
    "pwnlab/cat16/TC0889_pathtraversal_double_dot_slash.dcm": "kept",
}


@pytest.mark.parametrize("name", sorted(DECIDED))
def test_where_there_is_a_choice_it_is_made_once(name: str, manifest: tuple[CorpusFile, ...]) -> None:
    row = next(row for row in manifest if row.name == f"malformed/{name}")
    assert ("refused" if isinstance(_answer(row), BadInput) else "kept") == DECIDED[name]


def test_what_cannot_be_shown_is_kept_with_a_warning_and_without_frames(manifest: tuple[CorpusFile, ...]) -> None:
    for row in manifest:
        if row.name.startswith("malformed/own/") and Path(row.name).stem in (
            "rows_zero", "rows_65535", "frames_huge", "frames_negative", "frames_text", "bits_7",
            "bits_stored_gt_alloc", "fragments_none",
        ):  # fmt: skip
            answer = _answer(row)
            assert isinstance(answer, Description), row.name
            assert answer.frames is None, row.name
            assert any("frames cannot be shown" in warning for warning in answer.warnings), row.name


def test_no_answer_holds_what_is_in_the_file(manifest: tuple[CorpusFile, ...]) -> None:
    """Messages and warnings travel to logs: no names, numbers or paths out of a data set."""
    for row in manifest:
        if not row.name.startswith(("malformed/own", "malformed/pwnlab")):
            continue
        answer = _answer(row)
        said = answer.message if isinstance(answer, BadInput) else " ".join(answer.warnings)
        for planted in ("Malformed^", "etc/passwd", "<script", "Doe^", "TEST^"):
            assert planted not in said, row.name


# --- JSON metadata against pydicom --------------------------------------------


def _bulk(source: Bytes, uri: str) -> bytes:
    place = bulk_location(uri)
    assert place is not None, uri
    raw = source.read_at(*place)
    return raw[:-8] if is_encapsulated_bulk(uri) else raw  # with us the delimiter belongs to it


def test_metadata_is_that_of_pydicom_but_for_reasoned_differences(
    manifest: tuple[CorpusFile, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    differing: dict[str, list[str]] = {}
    compared = 0
    for row in manifest:
        if row.is_malformed or row.tier == "series" or row.name in CANNOT_SAY_WHO:
            continue
        file = stored(row)
        said = describe(file.source, file.syntax, LIMITS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data_set = as_pydicom(file.body, file.syntax)
            for tag in (tags.PixelData, tags.FloatPixelData, tags.DoubleFloatPixelData):
                if tag in data_set:
                    del data_set[tag]
            try:
                theirs = pydicom_json(data_set)
            except Exception:  # noqa: BLE001, S112 - what pydicom cannot convert cannot be compared
                continue
        ours = {tag: each for tag, each in said.attributes.items() if not tag.startswith("7FE0")}
        theirs = {tag: each for tag, each in theirs.items() if not tag.startswith("7FE0")}
        elements = plain(file.source, file.syntax, LIMITS)
        assert isinstance(elements, Bytes)
        found = differences(ours, theirs, partial(_bulk, elements))
        compared += 1
        if found and row.name not in JSON_DIFFERS:
            differing[row.name] = found[:5]
    assert differing == {}
    assert compared > 350


def test_patient_names_are_those_of_the_manifest(corpus: Path, manifest: tuple[CorpusFile, ...]) -> None:
    with (corpus / "MANIFEST.csv").open(encoding="utf-8", newline="") as listed:
        names = {row["path"]: row["patient_name"] for row in csv.DictReader(listed)}
    wrong: dict[str, tuple[str, str]] = {}
    for row in manifest:
        if row.is_malformed or row.name in CANNOT_SAY_WHO or row.name in JSON_DIFFERS:
            continue
        file = stored(row)
        value = describe(file.source, file.syntax, LIMITS).attributes.get("00100010", {"vr": "PN"}).get("Value", [""])
        groups = cast("dict[str, str]", value[0]) if isinstance(value[0], dict) else {}
        ours = "=".join(groups.get(name, "") for name in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
        theirs = names[row.name].rstrip("= ")
        if row.name.startswith("synthetic/hostile_text/"):
            continue  # the manifest shows control characters as blanks and cuts what is long
        if ours != theirs:
            wrong[row.name] = (ours, theirs)
    assert wrong == {}


def test_a_deflated_bomb_is_refused_by_how_it_grows() -> None:
    deflater = zlib.compressobj(9, wbits=-15)
    bomb = deflater.compress(UIDS + element(tags.PixelData, "OB", bytes(64 << 20))) + deflater.flush()
    with pytest.raises(BadInput, match="grows more than"):
        _describe(bomb, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
    with pytest.raises(BadInput, match="larger than"):
        describe(Bytes(bomb), uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, replace(LIMITS, inflated_bytes=1 << 20))
