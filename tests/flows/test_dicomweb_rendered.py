"""Strangers that ask a running archive for pictures: dicomweb-client and httpx; nobody gets any without a token."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from PIL import Image

from tests.corpus import CorpusFile
from tests.peers.web import Web, serving

CT = "pydicom/CT_small.dcm"
CINE = "pydicom-data/emri_small.dcm"
SLIDE = "highdicom/sm_image.dcm"
NAMES = (CT, CINE, SLIDE)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Iterator[Web]:
    with serving(tmp_path_factory.mktemp("rendered")) as running:
        running.leadglass.do("import", *(str(corpus / name) for name in NAMES))
        yield running


@pytest.fixture(scope="module")
def stranger(web: Web) -> Iterator[DICOMwebClient]:
    with requests.Session() as session:
        session.verify = str(web.authority)
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {web.token('radiologist')}"
        yield DICOMwebClient(f"{web.url}/dicom-web", session=session, timeout=60)


def _row(manifest: tuple[CorpusFile, ...], name: str) -> CorpusFile:
    return next(row for row in manifest if row.name == name)


def _size(data: bytes, media: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.get_format_mimetype() == media
        assert np.asarray(opened.convert("L")).std() > 1
        return opened.size


@pytest.mark.parametrize("media", ["image/jpeg", "image/png", "image/gif"])
def test_dicomweb_client_gets_pictures_at_every_level(
    media: str, stranger: DICOMwebClient, manifest: tuple[CorpusFile, ...]
) -> None:
    ct = _row(manifest, CT)
    series, instance = (ct.study_uid, ct.series_uid), (ct.study_uid, ct.series_uid, ct.sop_instance_uid)
    whole = cast("Any", stranger).retrieve_series_rendered(*series, media_types=(media,))
    assert _size(whole, media) == (128, 128)
    assert _size(stranger.retrieve_instance_rendered(*instance, media_types=(media,)), media) == (128, 128)
    small = stranger.retrieve_instance_rendered(*instance, media_types=(media,), params={"viewport": "32,32"})
    assert _size(small, media) == (32, 32)
    cine = _row(manifest, CINE)
    frame = stranger.retrieve_instance_frames_rendered(
        cine.study_uid, cine.series_uid, cine.sop_instance_uid, frame_numbers=[2], media_types=(media,)
    )
    assert _size(frame, media) == (64, 64)


def test_a_slide_is_rendered_tile_by_tile(web: Web, manifest: tuple[CorpusFile, ...]) -> None:
    slide = _row(manifest, SLIDE)
    path = f"/dicom-web/studies/{slide.study_uid}/series/{slide.series_uid}/instances/{slide.sop_instance_uid}"
    with web.client(web.token("service", name="tiles")) as client:
        tile = client.get(f"{path}/frames/3/rendered", headers={"Accept": "image/png"})
        study = client.get(f"/dicom-web/studies/{slide.study_uid}/thumbnail")
    with Image.open(io.BytesIO(tile.content)) as opened:
        assert (opened.size, opened.mode) == ((10, 10), "RGB")
    assert (study.status_code, study.headers["content-type"]) == (200, "image/jpeg")


def test_nobody_unknown_gets_a_picture_nor_learns_whether_there_is_one(
    web: Web, manifest: tuple[CorpusFile, ...]
) -> None:
    ct = _row(manifest, CT)
    with web.client() as nobody, web.client(web.token("admin", name="boss")) as admin:
        for study in (ct.study_uid, "9.9.9"):
            for what in ("rendered", "thumbnail"):
                answer = nobody.get(f"/dicom-web/studies/{study}/{what}")
                assert answer.status_code == 401
                assert b"rendered" not in answer.content
                assert admin.get(f"/dicom-web/studies/{study}/{what}").status_code == 403
