"""Pits: machines that hold on to a survey in every phase it can be in, and how long it takes to get away from them."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from tests.survey.capture import Capture, capturing
from tests.survey.networks import Machine, network
from tests.survey.surroundings import listening
from tests.wire.harness import Authority

WATCHER = "10.77.255.1"
PIT, ACCEPTED, SHAKING, SHOOK, PAGE, GREETING = (f"10.77.0.{number}" for number in range(1, 7))
NOBODY = "10.77.0.64/26"
"""Addresses at which nobody is: connections to them hang."""

_ALERT = b"\x15\3\1\0\2\2\x28"
_TLS, _DICOM = b"\x16", b"\1"


@dataclass(slots=True)
class Pits:
    """Machines that hold on to whoever speaks to them.

    Parameters
    ----------
    watcher : Machine
        Who surveys.
    held : dict of str to Event
        Set where a survey hangs.
    """

    watcher: Machine
    context: ssl.SSLContext
    held: dict[str, threading.Event] = field(default_factory=dict[str, threading.Event])

    def hold(self, address: str, line: socket.socket) -> None:
        """Say nothing more, until the peer is gone."""
        self.held[address].set()
        with suppress(OSError):
            while line.recv(65_536):
                pass

    def pit(self, line: socket.socket) -> None:
        """Take a request for an association, and never answer it."""
        line.recv(4096)
        self.hold(PIT, line)

    def accepted(self, line: socket.socket) -> None:
        """Make an association, and hang in its release."""
        said = line.recv(4096)
        # what was asked for comes back, with one context and one syntax: enough of an A-ASSOCIATE-AC (PS3.8 9.3.3)
        context = b"\x21\0\0\x19\1\0\0\0\x40\0\0\x11" + b"1.2.840.10008.1.2"
        user = b"\x50\0\0\x0d\x51\0\0\4\0\0\x40\0\x52\0\0\1" + b"1"
        body = said[6:74] + b"\x10\0\0\x15" + b"1.2.840.10008.3.1.1.1" + context + user
        line.sendall(b"\2\0" + len(body).to_bytes(4, "big") + body)
        self.hold(ACCEPTED, line)

    def shaking(self, line: socket.socket) -> None:
        """Speak TLS, and hang in the middle of the handshake."""
        if line.recv(1, socket.MSG_PEEK) != _TLS:
            line.sendall(_ALERT)
            return
        line.recv(4096)
        self.hold(SHAKING, line)

    def shook(self, line: socket.socket) -> None:
        """Finish the handshake, and say nothing in it."""
        if line.recv(1, socket.MSG_PEEK) != _TLS:
            line.sendall(_ALERT)
            return
        with suppress(OSError, ssl.SSLError), self.context.wrap_socket(line, server_side=True) as secured:
            secured.recv(4096)
            self.hold(SHOOK, secured)

    def page(self, line: socket.socket) -> None:
        """Give a page byte by byte."""
        if line.recv(1, socket.MSG_PEEK) != b"G":
            return
        line.recv(4096)
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        self.held[PAGE].set()
        with suppress(OSError):
            while True:
                line.sendall(b"x")
                time.sleep(0.1)

    def greeting(self, line: socket.socket) -> None:
        """Be an FTP server that does not answer the first command."""
        line.sendall(b"220 welcome\r\n")
        if line.recv(1, socket.MSG_PEEK) in {_TLS, _DICOM, b"G"}:
            return
        line.recv(4096)
        self.hold(GREETING, line)


@contextmanager
def pits(folder: Path) -> Generator[Pits]:
    """Give them, everybody up."""
    credentials = Authority(folder, "authority").issue("pit")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials.certificate, credentials.key)
    with network() as made, ExitStack() as stack:
        here = Pits(made.machine(WATCHER), context)
        serves: dict[str, Callable[[socket.socket], object]] = {
            PIT: here.pit,
            ACCEPTED: here.accepted,
            SHAKING: here.shaking,
            SHOOK: here.shook,
            PAGE: here.page,
            GREETING: here.greeting,
        }
        for address, serve in serves.items():
            here.held[address] = threading.Event()
            with made.machine(address).inside():
                stack.enter_context(listening(serve, address, 104))
        yield here


def _scope(folder: Path) -> Path:
    day = date.today()  # noqa: DTZ011 - the scope's days are the machine's
    path = folder / "pits.toml"
    path.write_text(
        '[survey]\nowner = "a test"\ncontact = "nobody"\nauthorised_by = "the test"\nlevel = 3\n'
        f"valid_from = {day - timedelta(days=1)}\nvalid_until = {day + timedelta(days=2)}\n"
        f'[scope]\nnetworks = ["10.77.0.0/29", "{NOBODY}"]\nports = [104, 105, 106, 107]\n'
        "[rate]\nconnections_per_second = 1000\nseconds_between = 0\nhosts_at_once = 100\n"
    )
    return path


Stop = Callable[["subprocess.Popen[bytes]", Path], None]


def interrupt(process: "subprocess.Popen[bytes]", _: Path) -> None:
    """Stop a survey as Ctrl-C does."""
    process.send_signal(signal.SIGINT)


def touch(_: "subprocess.Popen[bytes]", scope: Path) -> None:
    """Stop a survey by the file in its folder."""
    (scope.with_suffix(".survey") / "STOP").touch()


@dataclass(frozen=True, slots=True)
class Stopped:
    """A survey that was stopped.

    Parameters
    ----------
    at : float
        When; in seconds of the kernel's clock.
    capture : Capture
        Every packet of it.
    """

    at: float
    capture: Capture

    @property
    def took(self) -> float:
        """Seconds from the stop to the last packet that it sent."""
        return max(each.at for each in self.capture.packets if each.source in self.capture.own) - self.at


def stopped_in(pits: Pits, folder: Path, stop: Stop) -> Stopped:
    """Survey the pits, wait until all of them hold on, and stop it."""
    for held in pits.held.values():
        held.clear()
    scope = _scope(folder)
    command = [sys.executable, "-m", "leadglass", "survey", "run", str(scope), "--json"]
    with (
        capturing(pits.watcher) as capture,
        pits.watcher.inside(),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
    ):
        try:
            # the last of them hangs in its third check, when the first ones hang already
            for address, held in pits.held.items():
                assert held.wait(60), address
            at = time.time()
            stop(process, scope)
            # it would wait for ten seconds for answers
            out, err = process.communicate(timeout=8)
        finally:
            process.kill()
    assert process.returncode == 3, (out, err)
    assert json.loads(out)["run"]["status"] == "stopped"
    return Stopped(at, capture)
