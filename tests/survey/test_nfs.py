"""NFS of another maker: what it shows to nobody is counted and forgotten."""

import os
import socket
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.survey.check import Known
from leadglass.survey.checks import nfs_exports, registry
from leadglass.survey.scope import Level
from leadglass.survey.speech.rpc import opaque, words
from tests.survey.ganesha import Export, ganesha
from tests.survey.networks import network
from tests.survey.samba import CANARY, images
from tests.survey.surroundings import listening
from tests.survey.visiting import visit


def _always(known: Known, _port: int) -> bool:
    return known.is_open is None


CHECKS = tuple(replace(each, applies=_always) if each is nfs_exports.CHECK else each for each in registry.CHECKS)
"""All of them, and this one on whatever port the test has."""


@pytest.fixture(scope="module")
def files() -> Generator[Path]:
    """Give a folder of images."""
    with images() as folder:
        yield folder


@pytest.mark.parametrize("privileged", [False, True], ids=["any port", "ports below 1024"])
def test_the_top_of_an_export_for_everybody_is_listed_by_nfs_4_and_its_images_are_read_as_far_as_they_begin(
    files: Path, tmp_path: Path, *, privileged: bool
) -> None:
    if privileged and os.geteuid() != 0:
        pytest.skip("only root may come from a port below 1024")
    exports = [
        Export(files, f"/{CANARY}/images", privileged=privileged),
        Export(files.parent, "/closed", machine="192.0.2.9"),
    ]
    with ganesha(tmp_path / "ganesha", exports) as port:
        before = visit(tmp_path, port, CHECKS)
        (tmp_path / "journal.jsonl").unlink()
        seen = visit(tmp_path, port, CHECKS, Level.OPT_IN)
    assert before.rungs == {"nfs-exports": "E4"}
    assert "READ of" not in before.journal
    assert seen.rungs == {"nfs-exports": "E5"}
    assert seen.finding("nfs-exports").proof == {
        "tops that NFS 4 lists": 1,
        "names": 9,
        "look like DICOM": 8,
        "beginnings read": 5,
        "are DICOM": 5,
    }
    assert not seen.outcome.not_tested
    assert CANARY not in before.said + seen.said


def test_exports_for_named_machines_are_not_called_open(files: Path, tmp_path: Path) -> None:
    with ganesha(tmp_path / "ganesha", [Export(files, f"/{CANARY}", machine="192.0.2.9")]) as port:
        seen = visit(tmp_path, port, CHECKS, Level.OPT_IN)
    assert set(seen.rungs.values()) <= {"E1"}
    assert CANARY not in seen.said


def test_a_server_of_newer_minor_versions_alone_is_not_said_to_be_closed(files: Path, tmp_path: Path) -> None:
    with ganesha(tmp_path / "ganesha", [Export(files, f"/{CANARY}")], minors="1, 2") as port:
        seen = visit(tmp_path, port, CHECKS)
    assert seen.rungs == {"nfs-exports": "E1"}
    assert any("4.1" in each for each in seen.finding("nfs-exports").not_tested)


def test_a_portmapper_and_its_mountd_tell_what_is_exported_to_everybody(files: Path, tmp_path: Path) -> None:
    exports = [Export(files, f"/{CANARY}"), Export(files.parent, "/closed", machine="192.0.2.9")]
    with (
        network() as here,
        here.machine("192.0.2.1").inside(),
        ganesha(tmp_path / "ganesha", exports, with_mountd=True, port=nfs_exports.NFS_PORT) as port,
    ):
        seen = visit(tmp_path, port, registry.CHECKS)
        (tmp_path / "journal.jsonl").unlink()
        by_portmapper = visit(tmp_path, nfs_exports.PORTMAPPER_PORT, registry.CHECKS)
    assert seen.rungs == by_portmapper.rungs == {"nfs-exports": "E4"}
    proof = seen.finding("nfs-exports").proof
    assert (proof["to everybody"], proof["tops that NFS 4 lists"], proof["look like DICOM"]) == (1, 1, 8)
    assert not seen.outcome.not_tested + by_portmapper.outcome.not_tested
    assert CANARY not in seen.said + by_portmapper.said


_ENTRY = words(1) + bytes(8) + opaque(CANARY.encode()) + words(1, 2) + opaque(words(2))
_LISTED = words(0) + opaque(b"") + words(2, 24, 0, 26, 0) + bytes(8)


@pytest.mark.parametrize(
    "results",
    [
        b"",
        CANARY.encode() * 9,
        words(0) + opaque(CANARY.encode()) + words(3),
        _LISTED,
        _LISTED + _ENTRY[:-2],
        _LISTED + _ENTRY * 3 + words(0, 0),
        _LISTED + words(0, 0),
        _LISTED + words(1) + bytes(8) + opaque(b"x") + words(0xFFFF_FFFF),
    ],
    ids=["nothing", "noise", "another answer", "no list", "half an entry", "a list without end", "empty", "no bitmap"],
)
def test_answers_that_are_none_or_never_end_are_left_alone(results: bytes, tmp_path: Path) -> None:
    asked = [0]

    def serve(line: socket.socket) -> None:
        with line.makefile("rb") as file:
            while head := file.read(4):
                message = file.read(int.from_bytes(head, "big") & 0x7FFF_FFFF)
                asked[0] += 1
                reply = message[:4] + words(1) + bytes(16) + results
                line.sendall(words(0x8000_0000 | len(reply)) + reply)

    with listening(serve) as port:
        seen = visit(tmp_path, port, (replace(nfs_exports.CHECK, applies=_always),), Level.OPT_IN)
    assert set(seen.rungs.values()) <= {"E1"}
    assert CANARY not in seen.said
    assert asked[0] < 60


def test_who_may_comes_from_a_port_below_1024(tmp_path: Path) -> None:
    came: list[int] = []

    def serve(line: socket.socket) -> None:
        came.append(line.getpeername()[1])

    with listening(serve) as port:
        visit(tmp_path, port, (replace(nfs_exports.CHECK, applies=_always),))
    assert (came[0] < 1024) is (os.geteuid() == 0)
