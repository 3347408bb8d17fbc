"""Frames of what is in memory: given at once, and by the same rules as in the usual way."""

from collections.abc import Callable
from pathlib import Path
from threading import current_thread, main_thread
from typing import ParamSpec, TypeVar

import pytest
from pydicom.encaps import encapsulate

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.braking import Braking
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom import uids
from leadglass.dicom.frames import FrameTable
from leadglass.doors.dicomweb.frames import Knowing, Known
from leadglass.doors.threads import Threads
from leadglass.policy.action import Action
from leadglass.policy.brakes import Brake, Meter
from leadglass.policy.caller import CallerKind
from leadglass.policy.masking import without_identity
from leadglass.vault.objects import Objects, Place
from tests.callers import device
from tests.doors.dicomweb.wadohouse import Got, WadoHouse, opened
from tests.vault.sets import EXPLICIT, PIXELS, data_set, encoded, instance, spoil

P = ParamSpec("P")
T = TypeVar("T")
SERIES = "/studies/1.2.3.4/series/1.2.3.4.1"
FRAME = f"{SERIES}/instances/1.2.3.4.1.1/frames/1"
AS_STORED = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
WAYS = ("", "application/octet-stream", 'multipart/related; type="application/octet-stream"')


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each call that is made in a thread."""
    made: list[str] = []
    run = Threads.run

    async def noted(self: Threads, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        made.append(repr(function))
        return await run(self, function, *args, **kwargs)

    monkeypatch.setattr(Threads, "run", noted)
    return made


def fill(house: WadoHouse, **attributes: object) -> None:
    given = {"SOPInstanceUID": "1.2.3.4.1.1"} | attributes
    house.store(instance(**given), EXPLICIT)


def asked(house: WadoHouse, times: int, path: str = FRAME, accept: str = "") -> list[Got]:
    return [house.get(path, accept) for _ in range(times)]


@pytest.mark.parametrize("accept", WAYS)
def test_the_same_answer_is_given_at_once_when_it_was_asked_for_before(
    tmp_path: Path, hops: list[str], accept: str
) -> None:
    with opened(tmp_path) as house:
        fill(house)
        usual, again, at_once, and_again = asked(house, 4, accept=accept)
        assert len(hops) == 2, "the third is given at once, and so are all that follow"

        def content(got: Got) -> tuple[int, str, object]:
            if got.media != "multipart/related":
                return got.status, got.media, got.body
            return got.status, got.media, [(sorted(part.headers.items()), part.body) for part in got.parts]

        assert content(usual) == content(again) == content(at_once) == content(and_again)
        assert usual.headers.keys() == at_once.headers.keys()
        assert PIXELS in at_once.body


def test_each_of_many_frames_is_given_at_once(tmp_path: Path, hops: list[str]) -> None:
    frames = [bytes([number]) * 128 for number in range(5)]
    with opened(tmp_path) as house:
        fill(house, NumberOfFrames=5, PixelData=b"".join(frames))
        asked(house, 2)
        hops.clear()
        for number, frame in enumerate(frames, 1):
            assert house.get(f"{FRAME[:-1]}{number}", "application/octet-stream").body == frame
        assert hops == []
        assert house.get(f"{FRAME[:-1]}6").status == 404
        assert house.get(f"{FRAME},2").status == 200
        assert len(hops) == 2, "what is wrong, and what is more than one, is answered in the usual way"


@pytest.mark.parametrize(("fragments", "is_at_once"), [(64, True), (65, False)])
def test_a_frame_of_very_many_fragments_keeps_the_loop_from_nobody(
    tmp_path: Path, hops: list[str], monkeypatch: pytest.MonkeyPatch, *, fragments: int, is_at_once: bool
) -> None:
    parts = FrameTable.parts
    listed: list[bool] = []

    def noted(table: FrameTable, index: int) -> list[tuple[int, int]]:
        listed.append(current_thread() is main_thread())
        return parts(table, index)

    frame = bytes(range(130)) * 2
    made = data_set(SOPInstanceUID="1.2.3.4.1.1", PixelData=encapsulate([frame[: 2 * fragments]], fragments))
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    with opened(tmp_path) as house:
        house.store(encoded(made), uids.JPEG_LOSSLESS_SV1)
        asked(house, 2, accept=AS_STORED)
        hops.clear()
        monkeypatch.setattr(FrameTable, "parts", noted)
        assert [got.parts[0].body for got in asked(house, 2, accept=AS_STORED)] == [frame[: 2 * fragments]] * 2
        assert (hops == []) is is_at_once
        assert set(listed) == {is_at_once}, "they are not even listed in the loop"


def test_the_rest_of_a_series_is_known_before_it_is_asked_for_and_on_record_only_then(
    tmp_path: Path, hops: list[str]
) -> None:
    def frame(number: int) -> str:
        return f"{SERIES}/instances/1.2.3.4.1.{number}/frames/1"

    with opened(tmp_path) as house:
        for number in range(1, 8):
            fill(house, SOPInstanceUID=f"1.2.3.4.1.{number}", InstanceNumber=number, PixelData=bytes([number]) * 128)
        for number in (1, 2, 5):
            assert house.get(frame(number)).status == 200
        assert len(hops) == 4, "with the third its series was looked at"
        hops.clear()
        for number in (6, 7, 3, 4, 5):
            assert house.get(frame(number), "application/octet-stream").body == bytes([number]) * 128
        assert hops == []
        house.archive.end(house.caller)
        [closed] = [event for event in house.events("done") if event.action == "get" and event.study_uid]
        assert (closed.detail["instances"], closed.detail["octets"]) == (8, 8 * 128)


def test_what_is_given_at_once_is_counted_and_on_record_as_in_the_usual_way(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        fill(house)
        assert [got.status for got in asked(house, 7)] == [200] * 7
        house.archive.end(house.caller)
        assert len([event for event in house.events("permitted") if event.study_uid and event.action == "get"]) == 1
        closed = {bool(event.study_uid): event.detail for event in house.events("done") if event.action == "get"}
        assert (closed[True]["instances"], closed[True]["octets"]) == (7, 7 * len(PIXELS))
        assert closed[False]["more requests"] == 6


def test_brakes_stop_what_would_be_given_at_once(tmp_path: Path) -> None:
    most = 5 * len(PIXELS)
    brake = Brake(Meter.OCTETS, slow=most, stop=most, window=3_600.0)
    with opened(tmp_path, braking=Braking({CallerKind.DEVICE: (brake,)})) as house:
        fill(house)
        assert [got.status for got in asked(house, 7)] == [200] * 5 + [429] * 2
        assert [event.outcome.value for event in house.events("alert")] == ["alert"]


@pytest.mark.parametrize(("most", "status", "read"), [(2, 429, 0), (1_000, 200, 9)])
def test_for_who_is_stopped_nothing_is_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, most: int, status: int, read: int
) -> None:
    ahead: list[Place] = []

    def note(_objects: Objects, place: Place) -> None:
        ahead.append(place)

    monkeypatch.setattr(Objects, "will_read", note)
    brake = Brake(Meter.OCTETS, slow=most * len(PIXELS), stop=most * len(PIXELS), window=3_600.0)
    with opened(tmp_path, braking=Braking({CallerKind.DEVICE: (brake,)})) as house:
        for number in range(1, 10):
            fill(house, SOPInstanceUID=f"1.2.3.4.1.{number}", InstanceNumber=number)
        frames = [f"{SERIES}/instances/1.2.3.4.1.{number}/frames/1" for number in (1, 2, 3)]
        assert [house.get(frame).status for frame in frames] == [200, 200, status]
    assert len(ahead) == read


def test_a_study_that_is_deleted_is_not_given_at_once_any_more(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        fill(house)
        asked(house, 3)
        house.archive.delete(device("ADMIN", Action.DELETE), "1.2.3.4")
        assert house.get(FRAME).status == 404


def test_where_the_frames_of_one_instance_are_is_not_remembered_of_what_comes_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between locating and reading where its frames are, it is deleted and another stored under its UID."""
    longer = {"PixelData": b"B" * 128, "StudyDescription": "Thorax, and more"}
    known = Knowing.known
    with opened(tmp_path) as house:
        fill(house)

        def then(knowing: Knowing, retrieval: Retrieval, record: InstanceRecord) -> Known:
            monkeypatch.setattr(Knowing, "known", known)
            house.archive.delete(device("ADMIN", Action.DELETE), "1.2.3.4")
            fill(house, **longer)
            return known(knowing, retrieval, record)

        monkeypatch.setattr(Knowing, "known", then)
        assert house.get(FRAME, "application/octet-stream").status == 404
        house.archive.delete(device("ADMIN", Action.DELETE), "1.2.3.4")
        fill(house)
        assert {got.body for got in asked(house, 4, accept="application/octet-stream")} == {PIXELS}


def test_requests_for_an_instance_whose_key_does_not_open_are_counted_each_time(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        fill(house)
        asked(house, 3)
        spoil(tmp_path, "UPDATE instance SET key = zeroblob(length(key))")
        assert [got.status for got in asked(house, 5)] == [500] * 5
        house.archive.end(house.caller)
        closed = {bool(event.study_uid): event.detail for event in house.events("done") if event.action == "get"}
        assert closed[False]["more requests"] == 7
        assert closed[True]["instances"] == 3


def test_who_sees_through_a_mask_is_answered_in_the_usual_way(tmp_path: Path, hops: list[str]) -> None:
    with opened(tmp_path) as house:
        fill(house)
        asked(house, 3)
        house.caller = device("RESEARCH", Action.GET, view=without_identity())
        hops.clear()
        assert [got.status for got in asked(house, 3)] == [200] * 3
        assert len(hops) == 3


def test_who_may_not_is_refused_and_on_record_though_others_have_it_at_hand(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        fill(house)
        asked(house, 3)
        house.caller = device("STORER", Action.STORE)
        before = len(house.events("refused"))
        assert house.get(FRAME).status in (403, 404)
        assert len(house.events("refused")) == before + 1


def test_a_new_window_is_opened_on_record_by_who_may_wait(tmp_path: Path, hops: list[str]) -> None:
    with opened(tmp_path) as house:
        fill(house)
        asked(house, 3)
        house.archive.close()  # ends all windows
        before = len(house.events("permitted"))
        hops.clear()
        assert [got.status for got in asked(house, 2)] == [200] * 2
        assert len(hops) == 1
        assert len([each for each in house.events("permitted")[before:] if each.study_uid]) == 1
