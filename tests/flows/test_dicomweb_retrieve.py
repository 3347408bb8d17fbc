"""Strangers that fetch by DICOMweb: dicomweb-client, pydicom, highdicom's readers and wsidicom's web source."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
import requests
from dicomweb_client.web import DICOMwebClient  # pyright: ignore[reportMissingTypeStubs]
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread  # pyright: ignore[reportUnknownVariableType]
from wsidicom import WsiDicom, WsiDicomWebClient

from leadglass.dicom import uids
from leadglass.dicom.part10 import file_meta
from tests.peers.web import Web, serving
from tests.vault.sets import data_set, encoded

NAMES = (
    "pydicom/CT_small.dcm",
    "pydicom/MR_small_RLE.dcm",
    "highdicom/sm_image.dcm",
    "highdicom/sm_image_jpegls.dcm",
    "synthetic/transfer_syntaxes/J2KR_rgb_3frames.dcm",
)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Iterator[Web]:
    """Serve a few files of the corpus."""
    with serving(tmp_path_factory.mktemp("retrieve")) as running:
        running.leadglass.do("import", *(str(corpus / name) for name in NAMES))
        yield running


@pytest.fixture(scope="module")
def stranger(web: Web) -> Iterator[Any]:
    """Give dicomweb-client with a token of its own."""
    with requests.Session() as session:
        session.verify = str(web.authority)
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {web.token()}"
        yield DICOMwebClient(f"{web.url}/dicom-web", session=session, timeout=60)


def _read(corpus: Path, name: str) -> Dataset:
    return cast("Dataset", dcmread(corpus / name))  # pyright: ignore[reportUnknownArgumentType]


def _names(data_set: Dataset) -> tuple[str, str, str]:
    return data_set.StudyInstanceUID, data_set.SeriesInstanceUID, data_set.SOPInstanceUID


def _elements(data_set: Dataset) -> dict[str, object]:
    """Give every element but those of the file meta information."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {str(element.tag): element.value for element in data_set}


@pytest.mark.parametrize("name", NAMES)
def test_dicomweb_client_gets_instances_series_and_studies_as_they_were(stranger: Any, corpus: Path, name: str) -> None:
    original = _read(corpus, name)
    study, series, instance = _names(original)
    anything = (("application/dicom", "*"),)
    for got in (
        stranger.retrieve_instance(study, series, instance, media_types=anything),
        *stranger.retrieve_series(study, series, media_types=anything),
    ):
        assert got.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
        assert _elements(got) == _elements(original)
    assert instance in [each.SOPInstanceUID for each in stranger.retrieve_study(study, media_types=anything)]


@pytest.mark.parametrize("name", NAMES)
def test_without_a_transfer_syntax_it_gets_what_everybody_can_read(stranger: Any, corpus: Path, name: str) -> None:
    original = _read(corpus, name)
    got = stranger.retrieve_instance(*_names(original), media_types=("application/dicom",))
    assert got.file_meta.TransferSyntaxUID == uids.EXPLICIT_VR_LITTLE_ENDIAN
    assert (
        got.pixel_array.shape == (original.get("NumberOfFrames", 1), *got.pixel_array.shape[1:])
        or got.pixel_array.ndim < 4
    )


@pytest.mark.parametrize("name", NAMES)
def test_its_metadata_is_pydicoms_own(stranger: Any, corpus: Path, name: str) -> None:
    original = _read(corpus, name)
    study, series, instance = _names(original)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = stranger.retrieve_instance_metadata(study, series, instance)
        [of_series] = stranger.retrieve_series_metadata(study, series)
        assert got == of_series
        read = Dataset.from_json(
            cast("dict[str, Any]", got),
            lambda _tag, _vr, uri: b"".join(stranger.retrieve_bulkdata(uri)),
        )
    for element in original:
        if element.tag == 0x7FE00010 or element.VR in ("SQ", "UN", "OB", "OW"):
            continue
        assert element.tag in read, element
        if element.VR not in ("DS", "FL", "FD"):
            assert str(read[element.tag].value) == str(element.value), element


def test_it_gets_frames_uncompressed_as_stored_and_compressed(stranger: Any, corpus: Path) -> None:
    original = _read(corpus, "highdicom/sm_image.dcm")
    names = _names(original)
    expected = original.pixel_array
    frames = stranger.retrieve_instance_frames(*names, [2, 7], media_types=("application/octet-stream",))
    for number, frame in zip((2, 7), frames, strict=True):
        assert np.array_equal(np.frombuffer(frame, np.uint8).reshape(expected.shape[1:]), expected[number - 1])
    stored = _read(corpus, "highdicom/sm_image_jpegls.dcm")
    [frame] = stranger.retrieve_instance_frames(
        *_names(stored), [3], media_types=(("image/jls", uids.JPEG_LS_LOSSLESS),)
    )
    assert frame in stored.PixelData
    [frame] = stranger.retrieve_instance_frames(*names, [3], media_types=(("image/jp2", uids.JPEG_2000_LOSSLESS),))
    assert frame.startswith(b"\xff\x4f\xff\x51")


def test_a_bulk_data_uri_of_the_metadata_is_followed_and_ranged(stranger: Any, corpus: Path) -> None:
    original = _read(corpus, "pydicom/CT_small.dcm")
    metadata = stranger.retrieve_instance_metadata(*_names(original))
    uri = cast("str", metadata["7FE00010"]["BulkDataURI"])
    assert stranger.retrieve_bulkdata(uri) == [original.PixelData]
    ranged = stranger.retrieve_bulkdata(uri, media_types=("application/octet-stream",), byte_range=(10, 99))
    assert ranged == [original.PixelData[10:100]]


def test_wsidicom_reads_a_whole_slide_image(stranger: Any, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    original = _read(corpus, "highdicom/sm_image.dcm")
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        opened = WsiDicom.open_web(WsiDicomWebClient(stranger), original.StudyInstanceUID, original.SeriesInstanceUID)
        slide = stack.enter_context(opened)
        level = slide.levels[0]
        tile = np.asarray(slide.read_tile(level.level, (0, 0)))
    assert np.array_equal(tile[..., :3], original.pixel_array[0])


def test_nobody_gets_anything_without_a_token(web: Web, corpus: Path) -> None:
    study, series, instance = _names(_read(corpus, "pydicom/CT_small.dcm"))
    base = f"/dicom-web/studies/{study}"
    one = f"{base}/series/{series}/instances/{instance}"
    with web.client() as anonymous:
        for path in (base, one, f"{one}/metadata", f"{one}/frames/1", f"{one}/bulkdata", "/wado"):
            got = anonymous.get(path)
            assert (got.status_code, got.headers["www-authenticate"]) == (401, 'Bearer realm="leadglass"')
        assert anonymous.delete(base).status_code == 401


def test_an_answer_that_meets_damage_on_its_way_does_not_end_as_if_it_were_whole(tmp_path: Path) -> None:
    with serving(tmp_path) as web:
        made = data_set(Rows=2048, Columns=2048, PixelData=bytes(8 << 20))
        path = tmp_path / "large.dcm"
        path.write_bytes(
            file_meta(made.SOPClassUID, made.SOPInstanceUID, uids.EXPLICIT_VR_LITTLE_ENDIAN) + encoded(made)
        )
        web.leadglass.do("import", path)
        study, series, instance = _names(made)
        one = f"/dicom-web/studies/{study}/series/{series}/instances/{instance}"
        with web.client(web.token()) as client:
            whole = client.get(one, headers={"Accept": "application/dicom"})
            assert whole.content == path.read_bytes()
            [stored] = [each for each in (web.leadglass.data / "objects").glob("*/*") if len(each.name) == 32]
            content = bytearray(stored.read_bytes())
            content[len(content) // 2] ^= 1
            stored.write_bytes(content)
            for accept in ("application/dicom", 'multipart/related; type="application/dicom"'):
                with pytest.raises(httpx.RemoteProtocolError):
                    client.get(one, headers={"Accept": accept})
            assert client.get(f"{one}/metadata").status_code == 200
