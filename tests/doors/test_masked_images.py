"""Images under a mask, through the doors: the same pixels in every transfer syntax, and nobody's name."""

import warnings
from collections.abc import Generator

import pytest

from leadglass.archive.withholding import why_withheld
from leadglass.dicom import uids
from leadglass.dicom.ingest import describe
from leadglass.errors import BadInput
from leadglass.policy.action import Action
from leadglass.policy.masking import without_identity
from tests.callers import device
from tests.corpus import CorpusFile
from tests.dicom.sets import LIMITS, as_pydicom, stored
from tests.doors.everywhere import Everywhere, opened
from tests.peers.scu import STUDY_GET, Collected, Way, association, identifier, last_status
from tests.vault.sets import CT, EXPLICIT

SYNTAXES = (
    uids.IMPLICIT_VR_LITTLE_ENDIAN,
    uids.EXPLICIT_VR_LITTLE_ENDIAN,
    uids.EXPLICIT_VR_BIG_ENDIAN,
    uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids.RLE_LOSSLESS,
    uids.JPEG_2000_LOSSLESS,
    uids.JPEG_LOSSLESS_SV1,
    uids.JPEG_LS_LOSSLESS,
)


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Generator[Everywhere]:
    with opened(tmp_path_factory.mktemp("masked")) as doors:
        doors.callers["READER"] = device("READER", Action.FIND, Action.GET)
        doors.callers["RESEARCH"] = device("RESEARCH", Action.FIND, Action.GET, view=without_identity())
        yield doors


def given_of_each_syntax(manifest: tuple[CorpusFile, ...]) -> dict[str, tuple[CorpusFile, str]]:
    """Find a file with a name in each transfer syntax that is given under a mask: the class, and what is said."""
    found: dict[str, tuple[CorpusFile, str]] = {}
    for row in manifest:
        syntax = row.transfer_syntax_uid
        if row.is_malformed or row.is_directory or syntax not in SYNTAXES or syntax in found:
            continue
        if row.sop_instance_uid in {other.sop_instance_uid for other, _ in found.values()}:
            continue  # the same instance in another transfer syntax
        try:
            file = stored(row)
            described = describe(file.source, file.syntax, LIMITS)
        except BadInput:
            continue
        name = str(as_pydicom(file.body, file.syntax).get("PatientName", ""))
        is_given = not why_withheld(described.sop_class_uid, file.syntax, described.attributes)
        if is_given and described.frames is not None and len(name) >= 6 and described.patient_id:
            found[syntax] = (row, name)
    return found


def test_frames_and_pictures_are_the_same_and_instances_are_nobodys(
    everywhere: Everywhere, manifest: tuple[CorpusFile, ...]
) -> None:
    files = given_of_each_syntax(manifest)
    assert len(files) >= 6, sorted(files)
    for syntax, (row, name) in files.items():
        everywhere.house.take([row.path])
        path = f"/dicom-web/studies/{row.study_uid}/series/{row.series_uid}/instances/{row.sop_instance_uid}"
        asked = (
            (f"{path}/frames/1", 'multipart/related; type="application/octet-stream"'),
            (f"{path}/frames/1", "application/octet-stream; transfer-syntax=*"),
            (f"{path}/rendered", "image/png"),
            (f"{path}/thumbnail", "image/png"),
        )
        for each, accept in asked:
            full = everywhere.ask("READER", "GET", each, accept)
            masked = everywhere.ask("RESEARCH", "GET", each, accept)
            assert full.status_code == masked.status_code == 200, (row.name, each, full.text[:200], masked.text[:200])
            if "multipart" not in accept:
                assert full.content == masked.content, (row.name, each)
            else:
                assert full.content[-200:-60] == masked.content[-200:-60]
                assert len(full.content) == len(masked.content)
        annotated = everywhere.ask("RESEARCH", "GET", f"{path}/rendered?annotation=patient", "image/png")
        assert annotated.status_code == 200
        for accept in ("application/dicom; transfer-syntax=*", "application/dicom"):
            whole = everywhere.ask("RESEARCH", "GET", path, accept)
            assert whole.status_code == 200, (row.name, whole.text)
            if syntax not in uids.DEFLATED:
                assert name.encode() not in whole.content, row.name
            metadata = everywhere.ask("RESEARCH", "GET", f"{path}/metadata")
            assert name.split("^")[0] not in metadata.text or not metadata.json()[0]["00100010"].get("Value")


def test_a_masked_instance_comes_by_dimse_as_pydicom_reads_it(
    everywhere: Everywhere, manifest: tuple[CorpusFile, ...]
) -> None:
    for syntax, (row, name) in given_of_each_syntax(manifest).items():
        everywhere.house.take([row.path])
        collected = Collected()
        contexts = [(STUDY_GET, ("1.2.840.10008.1.2.1",)), (row.sop_class_uid, (syntax,))]
        with association(Way(everywhere.house.port, "RESEARCH"), contexts, get=collected) as asked:
            keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=row.study_uid)
            last_status(asked.send_c_get(keys, STUDY_GET))
        got = collected.instances[row.sop_instance_uid]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = as_pydicom(got.data, syntax)
            original = as_pydicom(stored(row).body, syntax)
            assert got.transfer_syntax_uid == syntax
            assert str(read.get("PatientName", "")) == ""
            assert not read.get("PatientID")
            assert read.PixelData == original.PixelData
            assert name


def test_the_pictures_of_who_may_not_know_show_no_name(everywhere: Everywhere) -> None:
    """A picture with the patient's line under a mask is that of somebody without a name."""
    instance = everywhere.store(
        "1.2.826.99", PatientSex="", PatientBirthDate="", Rows=128, Columns=256, PixelData=bytes(65536)
    )
    path = f"/dicom-web/studies/1.2.826.99/series/1.2.826.99.1/instances/{instance}/rendered"
    plain = everywhere.ask("RESEARCH", "GET", path, "image/png")
    annotated = everywhere.ask("RESEARCH", "GET", f"{path}?annotation=patient", "image/png")
    named = everywhere.ask("READER", "GET", f"{path}?annotation=patient", "image/png")
    assert plain.content == annotated.content
    assert named.content != plain.content


def test_of_a_mixed_study_what_a_mask_reaches_is_given_and_the_rest_is_told_of(everywhere: Everywhere) -> None:
    study = "1.2.826.98"
    given = everywhere.store(study)
    withheld = everywhere.store(study, SOPClassUID="1.2.840.10008.5.1.4.1.1.6.1", Modality="US")
    base = f"/dicom-web/studies/{study}"
    whole = everywhere.ask("RESEARCH", "GET", base, 'multipart/related; type="application/dicom"; transfer-syntax=*')
    assert whole.status_code == 200
    assert whole.content.count(b"DICM") == 1
    assert everywhere.status("RESEARCH", f"{base}/rendered", "image/png") == 200
    assert everywhere.status("RESEARCH", f"{base}/thumbnail", "image/png") == 200
    assert everywhere.status("RESEARCH", f"{base}/bulkdata") in (200, 204)
    assert len(everywhere.ask("RESEARCH", "GET", f"{base}/metadata").json()) == 2
    instance = f"{base}/series/{study}.1/instances/{withheld}"
    for path in ("", "/frames/1", "/rendered", "/thumbnail", "/bulkdata"):
        answer = everywhere.ask("RESEARCH", "GET", instance + path)
        assert answer.status_code == 501, path
        assert "Not given where attributes are masked" in answer.json()["detail"]
    collected = Collected()
    contexts = [(STUDY_GET, (EXPLICIT,)), (CT, (EXPLICIT,)), ("1.2.840.10008.5.1.4.1.1.6.1", (EXPLICIT,))]
    with association(Way(everywhere.house.port, "RESEARCH"), contexts, get=collected) as asked:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study)
        last = last_status(asked.send_c_get(keys, STUDY_GET))
    assert list(collected.instances) == [given]
    assert (last.NumberOfCompletedSuboperations, last.NumberOfFailedSuboperations) == (1, 1)
