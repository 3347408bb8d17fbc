"""Expensive requests by many clients at once: whoever else asks is served, and memory stays bounded."""

import os
import socket
import time
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, suppress
from functools import partial
from random import Random
from typing import Final

import pytest

from tests.hostile.images import image
from tests.hostile.webstage import MIB, WebStage, at_once, multipart, staged
from tests.peers.running import wait_until

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
STUDIES: Final = 20_000 if LONG else 500
LISTENERS: Final = 1_000 if LONG else 200
READERS: Final = 100 if LONG else 40
CLIENTS: Final = 24 if LONG else 12
MOST: Final = 2_000 if LONG else 900
"""MiB of resident memory that the server may have at most."""
EACH: Final = 8
"""MiB that a slow reader may cost: a piece that is sent, the next, and what lies in its connection."""
SECONDS: Final = 30.0 if LONG else 0.7
LARGE: Final = "2.25.4"
LARGE_MIB: Final = 64 if LONG else 24


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Generator[WebStage]:
    """Serve many studies of one instance, and one of 64 MiB."""
    draw = Random(5)
    with staged(tmp_path_factory.mktemp("webfloods")) as it:
        for start in range(0, STUDIES, 250):
            some = [image(draw, f"2.25.5.{start + number}", 1, sizes=(100,)) for number in range(250)]
            assert it.stow(multipart(*(each.file() for each in some))).status_code == 200
        for number in range(LARGE_MIB // 4):
            one = image(draw, LARGE, number, sizes=(4 * MIB,))
            assert it.stow(multipart(one.file())).status_code == 200
        yield it


def flood(stage: WebStage, requests: list[tuple[str, dict[str, str]]]) -> Counter[int]:
    """Send requests by many clients, again and again for some seconds; gives how often each status came."""
    statuses = Counter[int]()
    end = time.monotonic() + SECONDS

    def ask(number: int) -> None:
        with stage.client() as client:
            while time.monotonic() < end:
                path, fields = requests[number % len(requests)]
                statuses[client.get(path, headers=fields).status_code] += 1
                number += 1

    assert at_once(CLIENTS, [partial(ask, number) for number in range(CLIENTS)]) == []
    return statuses


STARS: Final = "*" + "e*" * 60
QUERIES: Final = {
    "wild": [
        f"/dicom-web/studies?PatientName={STARS}",
        f"/dicom-web/instances?SeriesDescription={'*t' * 30}*&limit=5000",
        f"/dicom-web/instances?SeriesDescription={'?' * 60}*x&limit=5000",
        f"/dicom-web/studies?PatientName={'*' * 300}e{'?*' * 90}",
    ],
    "fuzzy": [
        f"/dicom-web/studies?fuzzymatching=true&PatientName={'Doeje^' * 40}",
        f"/dicom-web/studies?fuzzymatching=true&PatientName={'a ' * 150}",
        "/dicom-web/studies?fuzzymatching=true&PatientName=" + "%5C".join(["Jahn Deo"] * 32),
    ],
    "everything": [
        "/dicom-web/instances?includefield=all&limit=5000",
        "/dicom-web/studies?limit=5000&offset=999999999999",
    ],
    "uids": ["/dicom-web/instances?SOPInstanceUID=" + ",".join(f"1.2.{n}" for n in range(4_000))],
    "keys": ["/dicom-web/instances?" + "&".join(f"{tag:08X}=*x*" for tag in range(0x00181000, 0x001810F0))],
    "fields": [
        "/dicom-web/instances?limit=5000&includefield="
        + ",".join(f"{tag:08X}" for tag in range(0x00181000, 0x00181100))
    ],
    "feed": ["/dicom-web/changes?limit=10000", "/dicom-web/changes?since=now"],
}


@pytest.mark.parametrize("kind", QUERIES)
def test_expensive_questions_of_many_starve_nobody(stage: WebStage, kind: str) -> None:
    quiet = stage.process.descriptors
    stage.process.forget_peak()
    with stage.legitimate() as served:
        statuses = flood(stage, [(path, {}) for path in QUERIES[kind]])
    served.assert_served()
    assert statuses.keys() <= {200, 400, 414, 429, 431, 503}
    assert stage.process.peak < MOST * MIB
    stage.assert_unharmed(quiet + 60)


def test_listeners_that_leave_at_once_take_nobodys_place(stage: WebStage) -> None:
    quiet = stage.process.descriptors

    def listen(number: int) -> None:
        with stage.connect() as connection, suppress(OSError):
            connection.sendall(stage.head("GET", "/dicom-web/events", Accept="text/event-stream"))
            if number % 3 == 0:
                connection.recv(1_000)
            if number % 2 == 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with stage.legitimate() as served:
        assert at_once(8, [partial(listen, number) for number in range(LISTENERS)]) == []
    served.assert_served()

    def may_listen() -> bool:
        with ExitStack() as stack:
            for _ in range(4):
                client = stack.enter_context(stage.client())
                if stack.enter_context(client.stream("GET", "/dicom-web/events")).status_code != 200:
                    return False
        return True

    wait_until(may_listen, "all four places are free")
    stage.assert_unharmed(quiet + 60)


def test_many_whole_studies_at_once_and_as_many_slow_readers_cost_bounded_memory(stage: WebStage) -> None:
    quiet = stage.process.descriptors
    stage.process.forget_peak()
    before = stage.process.memory
    statuses = Counter[int]()
    request = stage.head(
        "GET", f"/dicom-web/studies/{LARGE}", Accept='multipart/related; type="application/dicom"; transfer-syntax=*'
    )

    def read(number: int) -> None:
        with stage.connect(receive_buffer=4_096 if number % 2 else 0) as connection:
            connection.sendall(request)
            try:
                head = connection.recv(16_384)
                statuses[int(head.split()[1])] += 1
                if number % 2:
                    time.sleep(SECONDS)
                else:
                    for _ in range(200):
                        if not connection.recv(65_536):
                            break
            except (OSError, IndexError):
                statuses[503] += 1  # turned away before TLS was done, or while it waited

    with stage.legitimate() as served:
        broken = at_once(READERS, [partial(read, number) for number in range(2 * READERS)])
    assert broken == []
    assert statuses.keys() <= {200, 429, 503}
    served.assert_served()
    assert stage.process.peak - before < READERS * EACH * MIB
    stage.assert_unharmed(quiet + 60)


def test_ten_thousand_ranges_and_as_many_of_anything_cost_nothing(stage: WebStage) -> None:
    instance = f"/dicom-web/studies/{LARGE}/series/{LARGE}.1/instances/{LARGE}.1.1"
    with stage.client() as client:
        uri = str(client.get(f"{instance}/metadata").json()[0]["7FE00010"]["BulkDataURI"])
        path = uri[uri.index("/dicom-web") :]
        ranges = "bytes=" + ",".join(["0-", "-1"] * 3_000)
        assert client.get(path, headers={"Range": ranges}).status_code == 200  # several ranges: all, once
        said = client.get(path, headers={"Range": "bytes=" + ",".join(["0-"] * 50_000)})
        assert said.status_code == 431
        for accept in (
            ",".join(["*/*"] * 10_000),
            "application/dicom;" * 1_500,
            ";q=" * 5_000,
            '"' * 20_000,
            ",,,," * 6_000,
        ):
            said = client.get(f"{instance}/metadata", headers={"Accept": accept})
            assert said.status_code in (400, 406, 431), said.status_code
        for etag in ('"a",' * 7_000, "W/" * 10_000):
            assert client.get(f"{instance}/metadata", headers={"If-None-Match": etag}).status_code == 200
        for frames in (",".join(map(str, range(1, 6_000))), "1" * 30_000, "1," * 15_000):
            assert client.get(f"{instance}/frames/{frames}").status_code in (400, 404, 414, 431)
