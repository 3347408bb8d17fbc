"""Networks of the test's own: machines in network namespaces on one bridge, with nothing else to be reached.

Rule: a namespace is held by a file descriptor, so it is gone with the test, however that ends. A thread that is
inside a machine has its sockets and the programs it starts there.
"""

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x4000_0000
_LIBC = ctypes.CDLL(None, use_errno=True)


def _changed(code: int) -> None:
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _here() -> int:
    """Give a descriptor of the namespace that this thread is in."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _new() -> int:
    """Make a namespace."""
    before = _here()
    try:
        _changed(_LIBC.unshare(_CLONE_NEWNET))
        try:
            return _here()
        finally:
            _changed(_LIBC.setns(before, _CLONE_NEWNET))
    finally:
        os.close(before)


def _ip(*lines: str, version: int = 4) -> None:
    """Have ``ip`` do several things, in the namespace that this thread is in."""
    command = ["ip", f"-{version}", "-batch", "-"]
    subprocess.run(command, input="\n".join(lines), text=True, check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine.

    Parameters
    ----------
    address : str
        Its first address.
    descriptor : int
        Of its namespace.
    """

    address: str
    descriptor: int

    @contextmanager
    def inside(self) -> Generator[str]:
        """Be on this machine, with this thread; gives its address."""
        before = _here()
        try:
            _changed(_LIBC.setns(self.descriptor, _CLONE_NEWNET))
            yield self.address
        finally:
            _changed(_LIBC.setns(before, _CLONE_NEWNET))
            os.close(before)

    def also(self, *addresses: str) -> None:
        """Give it more addresses; to each everything of that network is reached directly."""
        with self.inside():
            _ip(*(f"address add {each} dev eth0" for each in addresses))

    def sends_all_else_to(self, address: str) -> None:
        """Give it a way to every other address, so that a packet to one would leave it and be seen."""
        with self.inside():
            _ip(f"route add default via {address}")
            _ip("route add default dev eth0", version=6)

    def has(self, port: int) -> bool:
        """Say whether somebody listens there."""
        with self.inside() as address:
            try:
                socket.create_connection((address, port), 1).close()
            except OSError:
                return False
            return True


@dataclass(slots=True)
class Network:
    """A bridge, and who is on it."""

    bridge: int
    machines: dict[str, Machine] = field(default_factory=dict[str, Machine])

    def machine(self, address: str, prefix: int = 16) -> Machine:
        """Add a machine with an address."""
        made = Machine(address, _new())
        name = f"m{len(self.machines)}"
        self.machines[address] = made
        with Machine("", self.bridge).inside():
            _ip(
                f"link add {name} type veth peer name eth0 netns /proc/{os.getpid()}/fd/{made.descriptor}",
                f"link set {name} master bridge up",
            )
        with made.inside():
            _ip(f"address add {address}/{prefix} dev eth0", "link set eth0 up", "link set lo up")
        return made


@contextmanager
def network() -> Generator[Network]:
    """Give an empty network, or skip the test where this machine makes none."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2: apt-get install iproute2")
    try:
        made = Network(_new())
    except OSError as error:
        pytest.skip(f"this system makes no network namespaces: {error.strerror}")
    try:
        try:
            with Machine("", made.bridge).inside():
                _ip("link add bridge type bridge", "link set bridge up", "link set lo up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this system makes no bridges: {error.stderr.strip()}")
        yield made
    finally:
        for descriptor in (made.bridge, *(each.descriptor for each in made.machines.values())):
            os.close(descriptor)


def where_names_are(folder: Path, resolver: IPv4Address | str, command: Sequence[str | Path]) -> list[str]:
    """Give a command with ``/etc/hosts`` and ``/etc/resolv.conf`` of its own: names are asked of that resolver."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosts").write_text("127.0.0.1 localhost\n")
    (folder / "resolv.conf").write_text(f"nameserver {resolver}\noptions timeout:2 attempts:2\n")
    script = (
        'mount --bind "$1" "$(readlink -f /etc/hosts)" && mount --bind "$2" "$(readlink -f /etc/resolv.conf)" '
        '&& shift 2 && exec "$@"'
    )
    around = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "names"]
    return [*around, str(folder / "hosts"), str(folder / "resolv.conf"), *map(str, command)]
