"""Nobody leads the survey out of its scope: by no name, no redirect, no address in an answer; shown by every packet.

Outside there is a machine that listens to everything and can be reached; nothing may be sent to it.
"""

import json
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from tests.peers.running import Ran, run
from tests.survey.capture import Capture, capturing
from tests.survey.networks import Machine, Network, network, where_names_are
from tests.survey.surroundings import echo, listening

WATCHER, OUTSIDE, RESOLVER = "10.77.255.1", "10.99.0.1", "10.99.0.53"
FTP, WEB, FORM, NFS, NAMED = (f"10.77.0.{number}" for number in (1, 2, 3, 4, 5))
NAME = "pacs.clinic.test"
ELSEWHERE = f"http://{OUTSIDE}:8042/"
AWAY_6 = IPv6Address("2001:db8:77::1")


@dataclass(slots=True)
class Resolver:
    """A name server that says where its one name is now.

    Parameters
    ----------
    now : list
        The addresses it gives, until it is asked; then it gives those of ``later``.
    asked : int
        How often it was asked for an IPv4 address.
    """

    now: tuple[IPv4Address, ...]
    later: tuple[IPv4Address, ...]
    asked: int = 0
    changes: bool = True

    def answer(self, question: bytes) -> bytes:
        """Answer a message (RFC 1035 4.1)."""
        end = question.index(b"\0", 12) + 5
        kind = int.from_bytes(question[end - 4 : end - 2], "big")
        given = [each.packed for each in self.now] if kind == 1 else []
        if kind == 28 and self.asked > 1:
            given = [AWAY_6.packed]
        if kind == 1:
            self.asked += 1
            if self.changes:
                self.now = self.later
        head = question[:2] + b"\x85\x80\0\1" + len(given).to_bytes(2, "big") + bytes(4)
        records = b"".join(
            b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1" + bytes(4) + len(each).to_bytes(2, "big") + each
            for each in given
        )
        return head + question[12:end] + records


@contextmanager
def resolving(machine: Machine, resolver: Resolver) -> Generator[None]:
    """Run a name server."""
    with machine.inside() as address:
        line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        line.bind((address, 53))
    line.settimeout(0.1)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                question, peer = line.recvfrom(4096)
                line.sendto(resolver.answer(question), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        line.close()


@dataclass(slots=True)
class Outside:
    """A network with hostile machines, and somebody outside of the scope."""

    network: Network
    folder: Path
    watcher: Machine
    seen: list[str] = field(default_factory=list[str])
    """What the hostile machines were asked."""

    def survey(self, *, level: int = 3, hosts: str = "", vantage: str = "internal") -> tuple[Ran, Capture]:
        """Survey it."""
        folder = self.folder / f"run-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        day = date.today()  # noqa: DTZ011 - the scope's days are the machine's
        networks = ", ".join(f'"{each}"' for each in (FTP, WEB, FORM, NFS)) if not hosts else ""
        scope = folder / "scope.toml"
        scope.write_text(
            f'[survey]\nowner = "a test"\ncontact = "nobody"\nauthorised_by = "the test"\nlevel = {level}\n'
            f'vantage = "{vantage}"\n'
            f"valid_from = {day - timedelta(days=1)}\nvalid_until = {day + timedelta(days=2)}\n"
            f"[scope]\nnetworks = [{networks}]\nhosts = [{hosts}]\nports = [21, 80, 2049]\n"
            "[rate]\nconnections_per_second = 1000\nseconds_between = 0\n"
        )
        command = where_names_are(
            folder / "names", RESOLVER, [sys.executable, "-m", "leadglass", "survey", "run", scope, "--json"]
        )
        with capturing(self.watcher, "10.99.0.251") as capture, self.watcher.inside():
            ran = run(command, timeout=120)
        return ran, capture


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Generator[Outside]:
    """Give the network, everybody up."""
    with network() as made, ExitStack() as stack:
        watcher, away = made.machine(WATCHER), made.machine(OUTSIDE)
        watcher.also("10.99.0.251/16")
        watcher.sends_all_else_to(OUTSIDE)
        here = Outside(made, tmp_path_factory.mktemp("outside"), watcher)
        servers: list[tuple[str, int, Callable[[socket.socket], object]]] = [
            (FTP, 21, lambda line: _ftp(line, here.seen)),
            (WEB, 80, lambda line: _web(line, here.seen, _sent_elsewhere)),
            (FORM, 80, lambda line: _web(line, here.seen, lambda _: _FORM)),
            (NFS, 111, lambda line: _rpc(line, here.seen)),
            (NFS, 2049, lambda line: _rpc(line, here.seen)),
            (NAMED, 80, lambda line: _web(line, here.seen, lambda _: _FORM)),
        ]
        for address, port, serve in servers:
            machine = made.machines.get(address) or made.machine(address)
            with machine.inside():
                stack.enter_context(listening(serve, address, port))
        with away.inside():
            for port in (21, 80, 111, 2049, 8042):
                stack.enter_context(echo(OUTSIDE, port))
        yield here


def _is_dicom_or_tls(line: socket.socket) -> bool:
    """Say whether what comes is an A-ASSOCIATE-RQ or a ClientHello: a server that waits for more is long to look at."""
    return line.recv(1, socket.MSG_PEEK) in {b"\1", b"\x16"}


def _ftp(line: socket.socket, seen: list[str]) -> None:
    """Be an FTP server that names another machine for its data (RFC 2577 2: the bounce attack)."""
    line.sendall(b"220 welcome\r\n")
    if _is_dicom_or_tls(line):
        return
    answers = {
        "USER": b"230 in\r\n",
        "EPSV": f"229 (|1|{OUTSIDE}|8042|)\r\n".encode(),
        "PASV": f"227 ({OUTSIDE.replace('.', ',')},31,106)\r\n".encode(),
    }
    for said in line.makefile("r", encoding="latin-1"):
        command = said[:4].strip()
        seen.append(f"ftp {command}")
        line.sendall(answers.get(command, b"200 so be it\r\n"))


def _web(line: socket.socket, seen: list[str], answer: Callable[[str], bytes]) -> None:
    if _is_dicom_or_tls(line):
        return
    said = line.makefile("r", encoding="latin-1", newline="\r\n")
    while first := said.readline():
        while (head := said.readline()) not in {"\r\n", ""}:
            if head.lower().startswith("content-length:"):
                seen.append(f"web body to {first.split()[1]}")
        seen.append(f"web {' '.join(first.split()[:2])}".partition("?")[0])
        line.sendall(answer(first))


def _page(body: str, kind: str, status: str = "200 OK", more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"Connection: keep-alive\r\n{more}\r\n{body}"
    ).encode()


_LISTING = f'<title>Index of /</title><a href="{ELSEWHERE}1.dcm">1.dcm</a><a href="//{OUTSIDE}:8042/2.dcm">2.dcm</a>'
_DAV = f'<?xml version="1.0"?><d:multistatus xmlns:d="DAV:"><d:href>{ELSEWHERE}3.dcm</d:href></d:multistatus>'
_BUCKET = f'<?xml version="1.0"?><ListBucketResult><Key>{ELSEWHERE}4.dcm</Key></ListBucketResult>'
_FORM = _page(
    f'<title>Sign in</title><form method="post" action="{ELSEWHERE}in"><input name="u"><input type="password" name="p">'
    f'</form><meta http-equiv="refresh" content="0;url={ELSEWHERE}"><a href="{ELSEWHERE}logout">Bye</a>',
    "text/html",
)


def _sent_elsewhere(first: str) -> bytes:
    """Answer everything with something that leads away."""
    method, path, *_ = first.split()
    if method == "PROPFIND":
        return _page(_DAV, "application/xml", "207 Multi-Status")
    if path.startswith("/dicom-web/studies"):
        return _page(f'[{{"00081190":{{"vr":"UR","Value":["{ELSEWHERE}"]}}}}]', "application/dicom+json")
    if path == "/dicom/":
        return _page(_LISTING, "text/html")
    if path == "/images/":
        return _page(_BUCKET, "application/xml")
    if path in {"/", "/system"}:
        return _page("", "text/html", "302 Found", f"Location: {ELSEWHERE}app/explorer.html\r\n")
    return _page("", "text/html", "307 Temporary Redirect", f"Location: //{OUTSIDE}:8042{path}\r\n")


def _rpc(line: socket.socket, seen: list[str]) -> None:
    """Be a portmapper whose mountd is where somebody outside listens; what it says is a port, and no address."""
    if _is_dicom_or_tls(line):
        return
    file = line.makefile("rb")
    while head := file.read(4):
        message = file.read(int.from_bytes(head, "big") & 0x7FFF_FFFF)
        seen.append(f"rpc {int.from_bytes(message[12:16], 'big')}")
        reply = message[:4] + (1).to_bytes(4, "big") + bytes(16) + (8042).to_bytes(4, "big")
        line.sendall((0x8000_0000 | len(reply)).to_bytes(4, "big") + reply)


def test_no_answer_leads_the_survey_out_of_its_scope(outside: Outside) -> None:
    ran, capture = outside.survey()
    assert ran.code == 0, ran.said
    assert capture.targets == {IPv4Address(each) for each in (FTP, WEB, FORM, NFS)}
    assert capture.lost == 0
    assert OUTSIDE not in ran.out + ran.err
    # each of them had its chance
    assert {"ftp EPSV", "ftp PASV", "web PROPFIND /", "web GET /dicom/", "web GET /", "rpc 100000"} <= set(outside.seen)
    assert not [each for each in outside.seen if each.startswith("web body to /in")]
    # what is followed goes to the same machine, where nobody listens
    assert {(str(each.target), each.port) for each in capture.connections if each.port == 8042} == {
        (FTP, 8042),
        (NFS, 8042),
    }


def test_a_name_that_moves_while_the_survey_goes_on_moves_nothing(outside: Outside) -> None:
    resolver = Resolver((IPv4Address(NAMED),), (IPv4Address(OUTSIDE),))
    with resolving(outside.network.machines.get(RESOLVER) or outside.network.machine(RESOLVER), resolver):
        ran, capture = outside.survey(hosts=f'"{NAME}"')
        assert ran.code == 0, ran.said
        assert json.loads(ran.out)["run"]["open"] == 1
        asked = capture.datagrams()
        assert resolver.asked == 1
        assert asked
        first = min(each.began for each in capture.connections)
        assert max(asked) < first, "a name was looked up again when the survey had begun"
        assert capture.targets == {IPv4Address(NAMED)}
        assert not [frame for _, frame in capture.frames if frame[12:14] == b"\x86\xdd" and AWAY_6.packed in frame]


def test_a_name_that_leads_to_the_internet_stops_an_inner_survey_before_its_first_packet(outside: Outside) -> None:
    public = (IPv4Address(NAMED), IPv4Address("11.22.33.44"))
    resolver = Resolver(public, public)
    with resolving(outside.network.machines.get(RESOLVER) or outside.network.machine(RESOLVER), resolver):
        ran, capture = outside.survey(hosts=f'"{NAME}"')
    assert ran.code != 0
    assert f"{NAME}, which leads to 11.22.33.44, an address of the internet" in ran.err
    assert capture.connections == []
    assert capture.datagrams()


def test_a_name_that_leads_nowhere_is_told(outside: Outside) -> None:
    """Who reads the report would take it for looked at."""
    with resolving(outside.network.machines.get(RESOLVER) or outside.network.machine(RESOLVER), Resolver((), ())):
        ran, capture = outside.survey(hosts=f'"{NAME}"')
    assert ran.code == 0, ran.said
    assert f"no address of {NAME}: nothing is looked at there" in ran.err
    assert capture.connections == []
