"""SMB: Samba whose shares anybody may read is told from Samba that lets nobody in, and names are forgotten."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.survey.check import Known
from leadglass.survey.checks import registry, smb_guest
from leadglass.survey.gate import Closed
from leadglass.survey.scope import Level
from leadglass.survey.speech.smb import read_entries, read_shares
from tests.peers.running import free_port
from tests.survey.samba import CANARY, CLOSED, OPEN, images, samba
from tests.survey.visiting import Visited, visit


def _always(known: Known, _port: int) -> bool:
    return known.is_open is None


CHECKS = tuple(replace(each, applies=_always) if each is smb_guest.CHECK else each for each in registry.CHECKS)
"""All of them, and this one on whatever port the test has."""

GUESTS = "map to guest = Bad User"
USERS = "map to guest = Never"


@pytest.fixture(scope="module")
def files() -> Generator[Path]:
    """Give a folder of images."""
    with images() as folder:
        yield folder


def _seen(folder: Path, settings: str, shares: dict[str, str], level: Level = Level.PROVE) -> Visited:
    with samba(folder / "samba", settings, shares) as port:
        seen = visit(folder, port, CHECKS, level)
    assert not seen.outcome.not_tested
    assert CANARY not in seen.said
    assert ("SESSION_SETUP as" in seen.journal) is True
    return seen


@pytest.mark.parametrize(
    "settings",
    [
        GUESTS,
        f"{GUESTS}\nserver signing = mandatory",
        f"{GUESTS}\nserver min protocol = SMB3_11",
        f"{GUESTS}\nserver max protocol = SMB2_02",
        f"{GUESTS}\nserver max protocol = SMB2_10",
        USERS,
    ],
    ids=["guests", "signing", "3.1.1", "2.0.2", "2.1", "anonymous sessions"],
)
def test_a_share_for_anybody_is_listed_and_its_images_are_read_as_far_as_they_begin(
    settings: str, files: Path, tmp_path: Path
) -> None:
    shares = {CANARY: f"path = {files}\n{OPEN}", "private": f"path = {files}\n{CLOSED}"}
    seen = _seen(tmp_path, settings, shares, Level.OPT_IN)
    assert seen.rungs == {"smb-guest": "E5"}
    proof = seen.finding("smb-guest").proof
    assert proof == {
        "session": "anonymous" if settings == USERS else "guest",
        "shares": 2,
        "tried": 2,
        "open to anybody": 1,
        "names": 9,
        "look like DICOM": 8,
        "beginnings read": 5,
        "are DICOM": 5,
    }
    assert "LOGOFF" in seen.journal


def test_no_file_is_opened_below_level_three_and_what_may_be_written_is_said(files: Path, tmp_path: Path) -> None:
    seen = _seen(tmp_path, GUESTS, {f"{CANARY}$": f"path = {files}\n{OPEN}\nread only = no\nforce user = root"})
    assert seen.rungs == {"smb-guest": "E4"}
    proof = seen.finding("smb-guest").proof
    assert proof["say that anybody may write"] == 1
    assert "beginnings read" not in proof
    assert "READ of" not in seen.journal
    assert len(list(files.iterdir())) == 9


@pytest.mark.parametrize(
    ("settings", "share", "rungs"),
    [
        (GUESTS, CLOSED, {"smb-guest": "E2"}),
        (USERS, CLOSED, {"smb-guest": "E1"}),
        (f"{USERS}\nrestrict anonymous = 2", OPEN, {}),
        (f"{GUESTS}\nserver smb encrypt = required", OPEN, {}),
    ],
    ids=["guests and no share for them", "a list and no share", "nobody at all", "encryption wanted"],
)
def test_samba_that_opens_no_share_to_strangers_is_not_called_open(
    settings: str, share: str, rungs: dict[str, str], files: Path, tmp_path: Path
) -> None:
    seen = _seen(tmp_path, settings, {CANARY: f"path = {files}\n{share}"}, Level.OPT_IN)
    assert seen.rungs == rungs


def test_a_share_without_images_and_one_with_thousands_of_names_are_counted(tmp_path: Path) -> None:
    with images() as folder:
        for number in range(1_000):
            (folder / f"{CANARY * 8} {number}.txt").touch()
        seen = _seen(tmp_path, GUESTS, {CANARY: f"path = {folder}\n{OPEN}"})
    assert seen.rungs == {"smb-guest": "E4"}
    assert seen.finding("smb-guest").proof["names"] == 1_009


def test_many_shares_are_told_in_several_pieces_and_a_few_are_entered(files: Path, tmp_path: Path) -> None:
    shares = {f"{CANARY}{number:04d}": f"path = {files}\ncomment = {CANARY * 4}\n{OPEN}" for number in range(200)}
    seen = _seen(tmp_path, GUESTS, shares)
    proof = seen.finding("smb-guest").proof
    assert (proof["shares"], proof["tried"], proof["open to anybody"], proof["names"]) == (200, 8, 8, 72)
    assert "Shares beyond the first 8." in seen.finding("smb-guest").not_tested


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_lists_that_are_none_are_read_to_their_end_or_refused(data: bytes, count: int) -> None:
    read_entries(data)
    with suppress(Closed):
        read_shares(data)
    with suppress(Closed):
        read_shares(bytes(12) + count.to_bytes(4, "little") + b"\1\0\0\0" + data)


@pytest.mark.parametrize("steps", range(9))
def test_a_server_that_breaks_off_or_talks_nonsense_proves_nothing(steps: int, tmp_path: Path) -> None:
    """It says yes so many times, with bodies that hold nothing, and then what is no SMB."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            for _ in range(steps):
                size = int.from_bytes(await reader.readexactly(4), "big")
                asked = await reader.readexactly(size)
                is_first = asked[12] == 1 and b"NTLMSSP\0\1" in asked
                status = (0xC000_0016 if is_first else 0).to_bytes(4, "little")
                answer = asked[:8] + status + asked[12:64] + CANARY.encode() * 9
                writer.write(len(answer).to_bytes(4, "big") + answer)
            writer.write(CANARY.encode() * 20)
            await reader.read()
        writer.close()

    ready, ended = threading.Event(), threading.Event()
    port = free_port()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", port)
        async with server:
            ready.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(30)
        seen = visit(tmp_path, port, (replace(smb_guest.CHECK, applies=_always),), Level.OPT_IN)
    finally:
        ended.set()
        thread.join()
    assert set(seen.rungs.values()) <= {"E2"}
    assert CANARY not in seen.said
