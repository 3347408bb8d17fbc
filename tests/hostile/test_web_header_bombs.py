"""Instances whose headers are small as sent and large as read, asked for together in every way that reads many.

Rule: what an instance was made of does not decide what a search costs: memory is bounded however many are asked for,
and nothing of them is lost.
"""

import zlib
from typing import Final

import pytest

from tests.dicom.sets import element
from tests.hostile.test_data_classes import DEFLATED, file_of
from tests.hostile.webstage import MIB, WebStage, at_once, multipart, stage

__all__ = ["stage"]

MOST: Final = 800
"""MiB of resident memory that the server may have at most; one answer of all bombs would be 165 of text."""
BOMBS: Final = 10
TEXTS: Final = 255
STUDY: Final = "2.25.910"
SERIES: Final = "2.25.910.1"
INSTANCES: Final = f"/dicom-web/studies/{STUDY}/instances"


def _bomb(number: int) -> tuple[str, bytes]:
    """Give an instance of 16 MB of private text, deflated to 18 kB."""
    uid = f"2.25.910.1.{number}"
    texts = [element(0x00991000 + each, "UT", b"A" * 65_000) for each in range(TEXTS)]
    head = [
        element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
        element(0x00080018, "UI", uid.encode() + b"\0" * (len(uid) % 2)),
        element(0x00100020, "LO", b"BOMB"),
        element(0x0020000D, "UI", STUDY.encode()),
        element(0x0020000E, "UI", SERIES.encode()),
        element(0x00990010, "LO", b"X1"),
    ]
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflate.compress(b"".join([*head, *texts])) + deflate.flush()
    return uid, data + b"\0" * (len(data) % 2)


@pytest.fixture(scope="module")
def bombs(stage: WebStage) -> list[str]:
    """Store them; gives their SOP Instance UIDs."""
    made = [_bomb(number) for number in range(BOMBS)]
    said = stage.stow(multipart(*(file_of(data, uid, syntax=DEFLATED) for uid, data in made)))
    assert said.status_code == 200, said.text
    stage.process.forget_peak()
    return [uid for uid, _ in made]


def test_a_search_that_would_be_too_long_ends_early_and_can_be_gone_on_with(stage: WebStage, bombs: list[str]) -> None:
    found: list[str] = []
    with stage.client() as client:
        while True:
            said = client.get(INSTANCES, params={"includefield": "all", "offset": str(len(found))}).raise_for_status()
            page = said.json()
            assert all(len(each["009910FE"]["Value"][0]) == 65_000 for each in page)
            found += [each["00080018"]["Value"][0] for each in page]
            assert 0 < len(page) < BOMBS
            left = BOMBS - len(found)
            if not left:
                assert "Warning" not in said.headers
                break
            assert f"There are {left} additional results that can be requested" in said.headers["Warning"]
    assert found == sorted(bombs, key=found.index)
    assert stage.process.peak < MOST * MIB


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (f"{INSTANCES}?includefield=all", "application/dicom+json"),
        (f"{INSTANCES}?includefield=all", 'multipart/related; type="application/dicom+xml"'),
        (f"{INSTANCES}?StationName=Q*&limit=1", ""),
        (f"/dicom-web/studies/{STUDY}/metadata", "application/dicom+json"),
        (f"/dicom-web/studies/{STUDY}/metadata", 'multipart/related; type="application/dicom+xml"'),
    ],
)
@pytest.mark.usefixtures("bombs")
def test_many_who_read_many_of_them_take_bounded_memory(stage: WebStage, path: str, accept: str) -> None:
    stage.process.forget_peak()
    statuses: list[int] = []

    def ask() -> None:
        with stage.client() as client:
            head = {"Accept-Encoding": "identity"} | ({"Accept": accept} if accept else {})
            with client.stream("GET", path, headers=head) as said:
                for _ in said.iter_raw():
                    pass
                statuses.append(said.status_code)

    assert at_once(4, [ask] * 4) == []
    assert set(statuses) <= {200, 503}
    assert 200 in statuses
    assert stage.process.peak < MOST * MIB
    stage.assert_unharmed(10_000)


@pytest.mark.usefixtures("bombs")
def test_a_head_of_a_long_answer_leaves_the_room_to_the_next(stage: WebStage) -> None:
    with stage.client() as client:
        said = [
            client.head(f"{INSTANCES}?includefield=all").status_code for _ in range(8)
        ]  # four fill what one may have
    assert said == [200] * 8


@pytest.mark.usefixtures("bombs")
def test_metadata_of_them_is_whole(stage: WebStage) -> None:
    with stage.client() as client:
        path = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/2.25.910.1.7/metadata"
        plain = client.get(path, headers={"Accept-Encoding": "identity"}).raise_for_status()
        deflated = client.get(path, headers={"Accept-Encoding": "deflate"}).raise_for_status()
    assert plain.content == deflated.content
    (said,) = plain.json()
    assert sum(len(said[f"009910{each:02X}"]["Value"][0]) for each in range(TEXTS)) == TEXTS * 65_000
