"""Rendered resources and thumbnails over the real archive, vault and workers."""

import asyncio
import io
from collections.abc import Callable, Iterator
from struct import pack
from typing import ParamSpec, TypeVar

import numpy as np
import pytest
from PIL import Image

from leadglass.dicom.room import Room
from leadglass.doors.dicomweb.fair import FairThreads
from leadglass.doors.dicomweb.pumping import Runs
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.policy.view import View
from tests.callers import device
from tests.doors.dicomweb.wadohouse import ROOT, Got, WadoHouse, opened
from tests.vault.sets import EXPLICIT, data_set, encoded

P = ParamSpec("P")
T = TypeVar("T")

STUDY = "/studies/1.2.3.4"
SERIES = f"{STUDY}/series/1.2.3.4.2"
CINE = f"{STUDY}/series/1.2.3.4.3/instances/1.2.3.4.3.1"
REPORT = f"{STUDY}/series/1.2.3.4.1/instances/1.2.3.4.1.1"
PDF = f"{STUDY}/series/1.2.3.4.4/instances/1.2.3.4.4.1"
BROKEN = "/studies/1.2.3.5/series/1.2.3.5.1/instances/1.2.3.5.1.1"
NO_IMAGE = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "SamplesPerPixel",
    "PhotometricInterpretation",
)  # fmt: skip
DOCUMENT = b"%PDF-1.4 made up\n" + bytes(range(256)) * 20 + b"%%EOF"


def _ct(number: int, **more: object) -> bytes:
    pixels = np.full((20, 30), 100 * number, dtype="<u2")
    pixels[0, 0], pixels[-1, -1] = 0, 1000
    given: dict[str, object] = {
        "SeriesInstanceUID": "1.2.3.4.2",
        "SeriesNumber": 2,
        "SOPInstanceUID": f"1.2.3.4.2.{number}",
        "InstanceNumber": number,
        "Rows": 20,
        "Columns": 30,
        "PixelData": pixels.tobytes(),
        "WindowCenter": "500",
        "WindowWidth": "1000",
    }
    return encoded(data_set(**(given | more)))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WadoHouse]:
    """A report, five CT slices stored out of order, a cine, a PDF; in another study an image that lies."""
    with opened(tmp_path_factory.mktemp("rendered")) as house:
        no_image: dict[str, object] = {}
        no_image.update(dict.fromkeys(NO_IMAGE))
        report: dict[str, object] = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11", "SOPInstanceUID": "1.2.3.4.1.1"}
        house.store(encoded(data_set(**(report | no_image))), EXPLICIT)
        for number in (4, 1, 5, 3, 2):
            house.store(_ct(number), EXPLICIT)
        frames = np.stack([np.full((8, 8), 50 * n, dtype=np.uint8) for n in range(6)])
        more: dict[str, object] = {
            "SeriesInstanceUID": "1.2.3.4.3",
            "SeriesNumber": 3,
            "SOPInstanceUID": "1.2.3.4.3.1",
            "NumberOfFrames": 6,
            "FrameTime": "100",
            "BitsAllocated": 8,
            "BitsStored": 8,
            "HighBit": 7,
            "PixelData": frames.tobytes(),
        }
        house.store(encoded(data_set(**more)), EXPLICIT)
        pdf: dict[str, object] = {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1",
            "SeriesInstanceUID": "1.2.3.4.4",
            "SeriesNumber": 4,
            "SOPInstanceUID": "1.2.3.4.4.1",
            "MIMETypeOfEncapsulatedDocument": "application/pdf",
            "EncapsulatedDocument": DOCUMENT + b"\0" * (len(DOCUMENT) % 2),
            "EncapsulatedDocumentLength": len(DOCUMENT),
        }
        house.store(encoded(data_set(**(pdf | no_image))), EXPLICIT)
        other = {"StudyInstanceUID": "1.2.3.5", "SeriesInstanceUID": "1.2.3.5.1", "SOPInstanceUID": "1.2.3.5.1.1"}
        house.store(_ct(1, **other, PatientID="0815", Rows=65535, Columns=65535, SamplesPerPixel=1), EXPLICIT)
        yield house


def _open(got: Got) -> Image.Image:
    assert got.status == 200, got.body
    opened = Image.open(io.BytesIO(got.body))
    assert opened.get_format_mimetype() == got.media
    return opened


def _instance(number: int) -> str:
    return f"{SERIES}/instances/1.2.3.4.2.{number}"


# --- what is given ------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", "image/jpeg"), ("*/*", "image/jpeg"), ("image/*", "image/jpeg"), ("image/png", "image/png"),
        ("image/gif", "image/gif"), ("image/jpeg;q=0.5, image/png", "image/png"),
        ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "image/png"),
    ],
)  # fmt: skip
def test_an_instance_is_given_as_the_client_likes_it(accept: str, media: str, house: WadoHouse) -> None:
    got = house.get(f"{_instance(3)}/rendered", accept)
    assert (got.media, _open(got).size) == (media, (30, 20))


def test_the_accept_parameter_stands_in_for_the_header(house: WadoHouse) -> None:
    assert house.get(f"{_instance(3)}/rendered?accept=image/png", "image/jpeg").media == "image/png"


@pytest.mark.parametrize("accept", ["video/mp4", "text/html", "image/jp2", "application/dicom", "image/jpeg;q=0"])
def test_what_cannot_be_made_is_said_with_what_can(accept: str, house: WadoHouse) -> None:
    got = house.get(f"{_instance(3)}/rendered", accept)
    assert got.status == 406
    assert b"image/png" in got.body


def test_a_study_or_series_gives_every_image_each_with_its_address(house: WadoHouse) -> None:
    got = house.get(f"{SERIES}/rendered")
    assert [part.headers["content-location"] for part in got.parts] == [
        f"{ROOT}{_instance(number)}/rendered" for number in (1, 2, 3, 4, 5)
    ]
    assert [part.media for part in got.parts] == ["image/jpeg"] * 5
    study = house.get(f"{STUDY}/rendered", 'multipart/related; type="image/png"').parts
    assert len(study) == 6  # the report and the document are no images
    assert study[-1].headers["content-location"] == f"{ROOT}{CINE}/frames/4/rendered"
    assert Image.open(io.BytesIO(study[-1].body)).getpixel((0, 0)) == 150


def test_one_picture_of_many_says_which_it_is(house: WadoHouse) -> None:
    for path in (STUDY, SERIES):
        got = house.get(f"{path}/rendered", "image/png")
        assert _open(got).size == (30, 20)
        assert got.headers["content-location"] == f"{ROOT}{_instance(3)}/rendered"
    got = house.get(f"{CINE}/rendered", "image/png")
    assert got.headers["content-location"] == f"{ROOT}{CINE}/frames/4/rendered"
    assert _open(house.get(got.headers["content-location"], "image/png")).getpixel((0, 0)) == 150


def test_frames_are_given_one_by_one_several_or_as_a_cine(house: WadoHouse) -> None:
    assert _open(house.get(f"{CINE}/frames/2/rendered", "image/png")).getpixel((0, 0)) == 50
    parts = house.get(f"{CINE}/frames/6,1/rendered", 'multipart/related; type="image/png"').parts
    assert [Image.open(io.BytesIO(part.body)).getpixel((0, 0)) for part in parts] == [250, 0]
    assert [part.headers["content-location"][-10:] for part in parts] == ["6/rendered", "1/rendered"]
    assert house.get(f"{CINE}/frames/6,1/rendered").media == "multipart/related"
    assert house.get(f"{CINE}/frames/6,1/rendered", "image/jpeg").status == 406
    cine = _open(house.get(f"{CINE}/frames/1,2,3/rendered", "image/gif"))
    assert (getattr(cine, "n_frames", 0), cine.info["duration"]) == (3, 100)
    assert getattr(_open(house.get(f"{CINE}/rendered", "image/gif")), "n_frames", 0) == 6
    assert len(house.get(f"{CINE}/rendered", "multipart/related").parts) == 6


@pytest.mark.parametrize(
    ("frames", "status"), [("7", 404), ("1,7", 404), ("0", 400), ("1,1", 400), ("x", 400), ("1,", 400), ("-1", 400)]
)
def test_frames_that_are_not_there_or_no_numbers(frames: str, status: int, house: WadoHouse) -> None:
    for what in ("rendered", "thumbnail"):
        assert house.get(f"{CINE}/frames/{frames}/{what}").status == status


def test_the_query_is_heeded(house: WadoHouse) -> None:
    wide = np.asarray(_open(house.get(f"{_instance(3)}/rendered?window=500,1000,linear-exact", "image/png")))
    assert wide[5, 5] == 77
    narrow = np.asarray(_open(house.get(f"{_instance(3)}/rendered?window=250,10", "image/png")))
    assert narrow[5, 5] == 255
    assert _open(house.get(f"{_instance(3)}/rendered?viewport=15,15&quality=5")).size == (15, 10)
    assert _open(house.get(f"{_instance(3)}/rendered?viewport=10,10,0,0,5,5")).size == (10, 10)


@pytest.mark.parametrize(
    "query",
    [
        "window=40", "window=40,0", "window=nan,5", "viewport=0,0", "viewport=9999999,1", "viewport=9,9,30,0,1,1",
        "quality=0", "quality=5&quality=5", "annotation=name", "iccprofile=cmyk", "size=5", "viewport=5,5;quality=5",
        "%00=1", "window=%F0%9F%92%A5,1",
    ],
)  # fmt: skip
def test_a_query_that_is_not_one_is_refused_by_name(query: str, house: WadoHouse) -> None:
    got = house.get(f"{_instance(3)}/rendered?{query}")
    assert (got.status, got.media) == (400, "application/problem+json")
    assert house.get(f"{_instance(3)}/thumbnail?{query}").status == 400


def test_a_document_is_given_as_itself_to_who_takes_it(house: WadoHouse) -> None:
    got = house.get(f"{PDF}/rendered", "application/pdf")
    assert (got.status, got.media, got.body) == (200, "application/pdf", DOCUMENT)
    assert got.headers["content-disposition"].startswith("attachment")
    assert house.get(f"{PDF}/rendered").body == DOCUMENT
    assert house.get(f"{PDF}/rendered", "image/jpeg").status == 406


@pytest.mark.parametrize("path", [f"{REPORT}/rendered", f"{REPORT}/thumbnail", f"{PDF}/thumbnail"])
def test_what_has_no_picture_is_said_to_have_none(path: str, house: WadoHouse) -> None:
    assert house.get(path).status == 406


def test_an_image_that_declares_more_than_it_has_is_refused(house: WadoHouse) -> None:
    got = house.get(f"{BROKEN}/rendered")
    assert (got.status, got.media) == (406, "application/problem+json")
    assert house.get(f"{BROKEN}/frames/1/rendered").status in (404, 406)
    assert house.get("/studies/1.2.3.5/rendered").status == 406
    assert house.get("/studies/1.2.3.5/thumbnail").status == 406


# --- thumbnails ---------------------------------------------------------------


def test_a_thumbnail_stands_for_each_level_and_says_of_which_frame_it_is(house: WadoHouse) -> None:
    middle = f"{ROOT}{_instance(3)}/frames/1/thumbnail"
    for path, location in (
        (STUDY, middle),
        (SERIES, middle),
        (_instance(1), f"{ROOT}{_instance(1)}/frames/1/thumbnail"),
        (CINE, f"{ROOT}{CINE}/frames/4/thumbnail"),
        (f"{CINE}/frames/2", f"{ROOT}{CINE}/frames/2/thumbnail"),
    ):
        got = house.get(f"{path}/thumbnail")
        assert (got.media, got.headers["content-location"]) == ("image/jpeg", location)
        assert max(_open(got).size) <= 128
    assert _open(house.get(f"{SERIES}/thumbnail?viewport=12,12", "image/png")).size == (12, 8)
    assert house.get(f"{SERIES}/thumbnail?window=1,2").status == 400


# --- who asks -----------------------------------------------------------------


def test_what_is_not_here_and_what_is_not_yours_are_answered_alike(house: WadoHouse) -> None:
    absent = [house.get(f"/studies/9.9.9{rest}") for rest in ("/rendered", "/thumbnail")]
    viewer = house.caller
    house.caller = device("OTHER", Action.GET, scope=Scope.where(Field.STUDY, "1.2.3.5"))
    try:
        foreign = [house.get(f"{STUDY}{rest}") for rest in ("/rendered", "/thumbnail")]
        frame = house.get(f"{CINE}/frames/1/rendered")
        house.caller = device("FINDER", Action.FIND)
        denied = house.get(f"{CINE}/rendered")
    finally:
        house.caller = viewer
    assert [(got.status, got.body) for got in foreign] == [(got.status, got.body) for got in absent]
    assert (frame.status, denied.status) == (404, 403)


def test_pictures_go_on_record_and_are_counted(house: WadoHouse) -> None:
    house.caller, viewer = device("AUDITED", Action.GET), house.caller
    try:
        size = len(house.get(f"{_instance(2)}/rendered").body)
        house.archive.end(house.caller)
    finally:
        house.caller = viewer
    mine = [event for event in house.events() if "AUDITED" in str(event.caller)]
    assert "1.2.3.4" in [event.study_uid for event in mine if event.outcome.value == "permitted"]
    assert any(event.detail.get("octets") == size for event in mine)


def test_a_name_is_drawn_only_for_who_may_see_it(house: WadoHouse) -> None:
    path = f"{_instance(3)}/rendered?annotation=patient&viewport=300,300"
    plain = house.get(f"{_instance(3)}/rendered?viewport=300,300", "image/png").body
    named = house.get(path, "image/png").body
    house.caller, viewer = (
        device("MASKED", Action.GET, view=View(frozenset({0x00100010, 0x00100020, 0x00100030, 0x00100040}))),
        house.caller,
    )
    try:
        masked = house.get(path, "image/png")
    finally:
        house.caller = viewer
    assert named != plain
    assert masked.status == 200
    assert np.array_equal(np.asarray(_open(masked)), np.asarray(Image.open(io.BytesIO(plain))))


def test_an_unchanged_picture_is_not_made_again(house: WadoHouse) -> None:
    for path in (f"{_instance(3)}/rendered", f"{SERIES}/thumbnail"):
        tag = house.get(path).headers["etag"]
        again = house.get(path, if_none_match=tag)
        assert (again.status, again.body) == (304, b"")
        assert house.get(path, "image/png", if_none_match=tag).status == 200
        assert house.get(path + "?viewport=9,9", if_none_match=tag).status == 200


def test_a_damaged_image_among_others_is_said_in_its_place(house: WadoHouse) -> None:
    more = {"SeriesInstanceUID": "1.2.3.6.1", "StudyInstanceUID": "1.2.3.6", "PatientID": "0816"}
    house.store(_ct(1, **more, SOPInstanceUID="1.2.3.6.1.1"), EXPLICIT)
    house.store(_ct(2, **more, SOPInstanceUID="1.2.3.6.1.2", PhotometricInterpretation="RGB"), EXPLICIT)
    parts = house.get("/studies/1.2.3.6/rendered").parts
    assert [part.media for part in parts] == ["image/jpeg", "application/problem+json"]
    assert parts[1].headers["content-location"].endswith("1.2.3.6.1.2/rendered")


def test_a_bomb_costs_its_own_answer_only(house: WadoHouse) -> None:
    """An RLE frame that says it is small and unpacks to gigabytes, among others that are sound."""
    rle = "1.2.840.10008.1.2.5"
    segment = b"\x81\x00" * 200_000
    header = pack("<16I", 2, 64, 64 + len(segment), *([0] * 13))
    frame = header + segment + segment
    item = pack("<HHI", 0xFFFE, 0xE000, 0) + pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame
    value = item + pack("<HHI", 0xFFFE, 0xE0DD, 0)
    uids = {"StudyInstanceUID": "1.2.3.7", "SeriesInstanceUID": "1.2.3.7.1"}
    made = _ct(1, **uids, PatientID="0817", SOPInstanceUID="1.2.3.7.1.1", PixelData=None)
    house.store(made + pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + value, rle)
    got = house.get("/studies/1.2.3.7/thumbnail")
    assert got.status in (200, 406)
    assert house.get(f"{_instance(1)}/rendered").status == 200


# --- turns --------------------------------------------------------------------


def test_a_crowd_of_one_caller_leaves_a_turn_for_others() -> None:
    order: list[str] = []

    class Slow:
        ahead = Room(0)

        async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
            made = function(*args, **kwargs)
            await asyncio.sleep(0.01)
            return made

    async def scene() -> None:
        slow: Runs = Slow()
        threads = FairThreads(slow, 3)
        crowd = [asyncio.create_task(threads.of("greedy").run(order.append, "greedy")) for _ in range(20)]
        await asyncio.sleep(0)
        await threads.of("modest").run(order.append, "modest")
        await asyncio.gather(*crowd)

    asyncio.run(scene())
    assert order.index("modest") <= 3
    assert order.count("greedy") == 20


# --- WADO-URI -----------------------------------------------------------------

_URI = "https://pacs.example/wado?requestType=WADO&studyUID=1.2.3.4"
URI = f"{_URI}&seriesUID=1.2.3.4.2&objectUID=1.2.3.4.2.3"
URI_CINE = f"{_URI}&seriesUID=1.2.3.4.3&objectUID=1.2.3.4.3.1"


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ("", (30, 20)), ("&rows=10", (15, 10)), ("&columns=60", (60, 40)), ("&rows=10&columns=6", (6, 4)),
        ("&region=0.5,0.5,1.0,1.0", (15, 10)), ("&region=0,0,0.5,1&rows=40", (30, 40)),
    ],
)  # fmt: skip
def test_older_viewers_get_pictures_by_their_parameters(more: str, size: tuple[int, int], house: WadoHouse) -> None:
    assert _open(house.get(f"{URI}{more}")).size == size
    assert _open(house.get(f"{URI}{more}&contentType=image/png")).size == size


def test_older_viewers_choose_frame_and_window(house: WadoHouse) -> None:
    assert _open(house.get(f"{URI_CINE}&contentType=image/png&frameNumber=3")).getpixel((0, 0)) == 100
    narrow = np.asarray(_open(house.get(f"{URI}&contentType=image/png&windowCenter=250&windowWidth=10")))
    assert narrow[5, 5] == 255
    assert house.get(f"{URI_CINE}&frameNumber=7").status == 404


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ("&rows=0", "rows"), ("&columns=x", "columns"), ("&rows=99999", "rows"), ("&region=0,0,2,1", "region"),
        ("&region=0,0,0,1", "region"), ("&region=1", "region"), ("&windowCenter=5", "windowCenter"),
        ("&windowCenter=5&windowWidth=0", "window"), ("&frameNumber=0", "frameNumber"), ("&imageQuality=0", "quality"),
        ("&annotation=all", "annotation"),
    ],
)  # fmt: skip
def test_older_viewers_are_told_what_is_wrong(more: str, name: str, house: WadoHouse) -> None:
    got = house.get(f"{URI}{more}")
    assert got.status == 400
    assert f'"detail":"{name}'.encode() in got.body
    assert house.get(f"{URI}&presentationUID=1.2").status == 501
