"""Every check against peers that answer anything: spoiled answers of the right protocol, of a wrong one, and noise.

None of it ends a check otherwise than the engine knows, none of it is kept, and each comes to its end.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.errors import LeadglassError
from leadglass.survey.check import Check, Dicom, Http, Known, Tls, Visit
from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.findings import Finding
from leadglass.survey.gate import Gate
from leadglass.survey.journal import Journal
from leadglass.survey.scope import Level
from tests.survey.hostile.peers import CANARY, PEERS, Answer, Peer, certificate, over_tls
from tests.survey.visiting import scope

EACH: Final = 400 if os.environ.get("LEADGLASS_LONG") else 8
"""Peers that each check meets; many with LEADGLASS_LONG=1."""

Spoil = Callable[[bytes], bytes]


class Spoiled:
    """A server that answers as a peer does, some answers spoiled; after a spoiled one it closes, or goes on."""

    def __init__(self, peer: Peer, spoils: Sequence[tuple[int, Spoil, bool]]) -> None:
        self._peer = peer
        self._spoils = {at: (spoil, closes) for at, spoil, closes in spoils}
        self._answers = 0
        self._connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, until there is nothing to answer."""
        number, self._connections = self._connections, self._connections + 1
        answer: Answer = self._peer(number, self.port)
        is_data = number > 0 and self._peer is PEERS["ftp"]
        with suppress(OSError):
            greeting = answer(b"")
            goes_on = (await self._say(writer, greeting) and not is_data) if greeting else True
            while goes_on:
                # who waits while we wait is left alone: else its patience would be the test's
                async with asyncio.timeout(0.2):
                    said = await reader.read(65_536)
                right = answer(said) if said else b""
                goes_on = bool(right) and await self._say(writer, right)
        writer.close()

    async def _say(self, writer: asyncio.StreamWriter, right: bytes) -> bool:
        spoil, goes_on = self._spoils.get(self._answers, (None, self._answers < 200))
        self._answers += 1
        writer.write(right if spoil is None else spoil(right))
        await writer.drain()
        return goes_on


def _cut(share: float) -> Spoil:
    return lambda right: right[: int(len(right) * share)]


def _change(share: float, value: bytes) -> Spoil:
    def spoil(right: bytes) -> bytes:
        at = int(len(right) * share)
        return right[:at] + value + right[at + len(value) :]

    return spoil


def _add(share: float, value: bytes) -> Spoil:
    return lambda right: right[: int(len(right) * share)] + value + right[int(len(right) * share) :]


def _instead(value: bytes) -> Spoil:
    return lambda _: value


_SHARE: Final = st.floats(0, 1)
_MARK: Final = CANARY.encode()
_BYTES: Final = st.one_of(
    st.sampled_from(
        [
            b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", b"\xff" * 8, b"\0" * 64,
            b"\r\n", b"\n" * 50,
            b"\x1b]0;" + _MARK + b"\7", b"<" + _MARK, b"220-" + _MARK, b"Content-Length: -1\r\n", b"[" * 2_000,
            b"9" * 5_000,
            b"HTTP/1.1 200 OK\r\n\r\n" + _MARK, b"=cmd|" + _MARK, "\u202e\u0661\u0662".encode(), b"\xd8\0\xd8\0",
            b"%0d%0a", b"&#0;",
        ]
    ),
    st.binary(min_size=1, max_size=40),
)  # fmt: skip
_SPOILS: Final = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.one_of(
            st.builds(_cut, _SHARE),
            st.builds(_change, _SHARE, _BYTES),
            st.builds(_add, _SHARE, _BYTES),
            st.builds(_instead, _BYTES),
        ),
        st.booleans(),
    ),
    max_size=4,
)


def _known(check: Check, *, in_tls: bool) -> Known:
    """Give what is known where a check is made."""
    known = Known()
    if _own(check) == "dicom" and check.id not in {"dicom-answers", "dicom-tls", "dicom-clear"}:
        known.dicom = Dicom(in_tls=in_tls, takes_strangers=True, product="DCMTK", version="3.6.4", grants_nonsense=True)
    if check.id in {"dicom-tls", "dicom-clear", "dicom-certificate"}:
        known.dicom = Dicom(in_tls=True, takes_strangers=True)
        known.tls = Tls(version="TLSv1.3", days_left=1, key="RSA 1024")
    if _own(check) == "http" and not check.id.startswith(("greeting", "http")):
        known.http = Http(in_tls=in_tls, status=200, product="Orthanc", asks_credentials=True)
    return known


_WITHOUT: Final = frozenset({"greeting", "web-credentials", "dicom-clear", "webdav-open"})
"""Checks that report nothing, or nothing at these peers."""

_OWN: Final = {
    "ftp-": "ftp", "rsync-": "rsync", "smb-": "smb", "nfs-": "nfs", "dicom-": "dicom", "volume-dicom": "dicom"
}  # fmt: skip


def _own(check: Check) -> str:
    """Give what a check is met by most often: its own protocol."""
    return next((peer for begin, peer in _OWN.items() if check.id.startswith(begin)), "http")


def _made(check: Check, peer: Peer, spoils: Sequence[tuple[int, Spoil, bool]], file: Path, *, in_tls: bool) -> str:
    """Make a check at a peer; gives all that is kept, raises what no engine expects."""
    found: list[Finding] = []
    errors: list[object] = []

    async def make() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        spoiled = Spoiled(peer, spoils)
        server = await asyncio.start_server(spoiled.serve, "127.0.0.1", 0)
        spoiled.port = int(server.sockets[0].getsockname()[1])
        with Journal(file, "a run") as journal:
            allowed = replace(scope(Level.OPT_IN), ports=(spoiled.port,))
            known = _known(check, in_tls=in_tls)
            visit = Visit(check, Gate(allowed, journal), ip_address("127.0.0.1"), spoiled.port, known)
            with suppress(LeadglassError, OSError):  # what the engine takes for an answer
                await check.run(visit)
            found.extend(visit.found)
        server.close()
        await asyncio.sleep(0)  # who was just let in is closed too

    asyncio.run(make())
    assert errors == []
    return repr(found) + file.read_text()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_whatever_answers_a_check_ends_as_it_should_and_keeps_nothing(
    check: Check, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    own = _own(check)
    file = tmp_path / "journal.jsonl"

    @given(st.one_of(st.just(own), st.sampled_from(sorted(PEERS))), st.booleans(), _SPOILS)
    @settings(max_examples=EACH, deadline=None, database=None)
    def met(name: str, in_tls: bool, spoils: list[tuple[int, Spoil, bool]]) -> None:
        file.write_text("")
        peer = over_tls(tls, PEERS[name]) if in_tls or check.id == "dicom-tls" else PEERS[name]
        assert CANARY not in _made(check, peer, spoils, file, in_tls=in_tls)

    met()


@pytest.mark.parametrize("check", [each for each in CHECKS if each.id not in _WITHOUT], ids=lambda check: check.id)
def test_unspoiled_they_are_what_the_checks_look_for(check: Check, tls: ssl.SSLContext, tmp_path: Path) -> None:
    """Else the test above would spoil what no check reads."""
    own = _own(check)
    peer = over_tls(tls, PEERS[own]) if check.id == "dicom-tls" else PEERS[own]
    assert f"check={check.id!r}" in _made(check, peer, (), tmp_path / "journal.jsonl", in_tls=False)
