"""Town: every stranger of the survey on a machine of its own, at the ports that are really theirs.

Rule 1. What a stranger is, is written here, and not looked up in what the survey says. Rule 2. Each holds canaries:
in every attribute, file name, title and greeting that it has.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.peers.dcmtk import Dcmtk
from tests.peers.orthanc import orthanc
from tests.peers.running import find_program, is_listening, running, wait_until
from tests.survey.canaries import Canary
from tests.survey.ganesha import Export, ganesha
from tests.survey.networks import Machine, Network, network
from tests.survey.nginx import nginx
from tests.survey.portal import portal
from tests.survey.samba import samba
from tests.survey.surroundings import dcmqrscp, echo, http, pynetdicom_server
from tests.wire.harness import Authority

NETWORK = "10.77.0.0/24"
EXCLUDED = "10.77.0.66"
"""In the network, and excluded: it listens to everything."""

OUTSIDE = "10.99.0.1"
"""Reachable, and in nobody's scope."""

WATCHERS = ("10.77.255.1", "10.77.255.2", "10.77.255.3")
"""Who surveys at levels 1, 2 and 3; outside of the network that is surveyed."""

DICOMPOT = ("1.2.826.0.1.3680043.9.7133.1.1", "GONETDICOM_1_1")
"""What the toolkit that Dicompot is built on says that it is."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody in the town.

    Parameters
    ----------
    name : str
        What the issue calls it.
    truth : mapping of int to tuple of str
        By port, how far up the ladder it goes for who looks at levels 1, 2 and 3.
    bring : callable
        Brings it up on the machine that one is inside, with a folder and its address.
    """

    name: str
    truth: Mapping[int, tuple[str, str, str]]
    bring: Callable[[Path, str], AbstractContextManager[object]]


@dataclass
class Town:
    """The town, and who lives where."""

    folder: Path
    network: Network
    canary: Canary
    strangers: dict[str, Stranger] = field(default_factory=dict[str, Stranger])
    """By address."""
    watchers: list[Machine] = field(default_factory=list[Machine])
    absent: dict[str, str] = field(default_factory=dict[str, str])
    """Who is not here, and why."""

    @property
    def endpoints(self) -> list[tuple[str, int]]:
        """Every address and port at which somebody answers."""
        return [(address, port) for address, each in self.strangers.items() for port in each.truth]

    def of(self, name: str) -> str:
        """Give the address of a stranger."""
        return next(address for address, each in self.strangers.items() if each.name == name)


@contextmanager
def town(folder: Path, dcmtk: Dcmtk) -> Generator[Town]:
    """Bring up the town; who cannot be brought up on this machine is noted as absent."""
    with network() as made, ExitStack() as stack:
        here = Town(folder, made, Canary())
        file = here.canary.write(folder)
        strangers = list(_strangers(dcmtk, here.canary, file, Authority(folder, "authority"), folder))
        machines = [(made.machine(f"10.77.0.{number}"), each) for number, each in enumerate(strangers, 1)]
        outside = made.machine(OUTSIDE)
        here.watchers = [made.machine(address) for address in WATCHERS]
        for number, watcher in enumerate(here.watchers, 251):
            watcher.also(f"10.99.0.{number}/16")
            watcher.sends_all_else_to(OUTSIDE)
        machines.append((made.machine(EXCLUDED), Stranger("excluded", {}, _everything)))
        machines.append((outside, Stranger("outside", {}, _everything)))
        stacks = [ExitStack() for _ in machines]

        def close() -> None:
            with ThreadPoolExecutor(16) as pool:
                list(pool.map(ExitStack.close, stacks))

        stack.callback(close)

        def one(number: int) -> None:
            machine, stranger = machines[number]
            own = folder / f"m{number}"
            own.mkdir()
            try:
                with machine.inside():
                    stacks[number].enter_context(stranger.bring(own, machine.address))
                    for port in stranger.truth:
                        wait_until(lambda port=port: machine.has(port), f"{stranger.name} listens at {port}")
            except pytest.skip.Exception as error:
                here.absent[stranger.name] = str(error)
                return
            if stranger.truth:
                here.strangers[machine.address] = stranger

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(one, range(len(machines))))
        here.strangers = {
            each.address: here.strangers[each.address] for each, _ in machines if each.address in here.strangers
        }
        yield here


def _strangers(dcmtk: Dcmtk, canary: Canary, file: Path, authority: Authority, folder: Path) -> Generator[Stranger]:
    mark = canary.text
    users: dict[str, Any] = {"AuthenticationEnabled": True, "RemoteAccessAllowed": True, "Name": mark}
    # The slowest to come up are first.
    yield Stranger(
        "Leadglass itself",
        {2762: ("E1", "E1", "E1"), 11112: ("E1", "E1", "E1"), 443: ("E0", "E0", "E0")},
        _leadglass,
    )
    yield Stranger(
        "Orthanc, open",
        {4242: ("E2", "E3", "E5"), 8042: ("E1", "E4", "E5")},
        lambda own, _: _orthanc(
            own, file, DicomAlwaysAllowFind=True, DicomAlwaysAllowGet=True, RemoteAccessAllowed=True, Name=mark
        ),
    )
    yield Stranger(
        "Orthanc, AE-restricted, as Debian ships its web side",
        {4242: ("E1", "E1", "E2"), 8042: ("E1", "E1", "E1")},  # at level 3 its title is that of the manual
        lambda own, _: _orthanc(own, file, DicomCheckCalledAet=True, Name=mark),
    )
    yield Stranger(
        "Orthanc, authentication on",
        {4242: ("E2", "E2", "E2"), 8042: ("E1", "E1", "E1")},
        lambda own, _: _orthanc(own, None, **users, RegisteredUsers={"alice": "of-the-test"}),
    )
    yield Stranger(
        "Orthanc, as the image orthanc/orthanc",
        {4242: ("E2", "E2", "E2"), 8042: ("E1", "E1", "E4")},
        lambda own, _: _orthanc(own, None, **users, RegisteredUsers={"orthanc": "orthanc"}),
    )
    yield Stranger(
        "nginx as a DICOMweb proxy, open at 80, closed at 8080",
        {80: ("E0", "E3", "E3"), 8080: ("E0", "E0", "E0")},
        lambda own, address: _proxies(own, address, file),
    )
    yield Stranger(
        "DCMTK dcmqrscp, open",
        {104: ("E1", "E1", "E5")},  # to who knows its title
        lambda own, _: dcmqrscp(dcmtk, own, "ANY", file, 104),
    )
    yield Stranger(
        "DCMTK dcmqrscp, restricted", {104: ("E1", "E1", "E1")}, lambda own, _: dcmqrscp(dcmtk, own, "known", None, 104)
    )
    yield Stranger("pynetdicom qrscp", {11112: ("E2", "E3", "E5")}, lambda own, _: _qrscp(dcmtk, own, file))
    yield Stranger(
        "an archive that does not heed what is asked",
        {104: ("E2", "E5", "E5")},
        lambda _, address: pynetdicom_server(canary, heeds_key=False, address=address, port=104),
    )
    yield Stranger(
        "TLS acceptor",
        {2762: ("E2", "E2", "E2")},
        lambda own, _: _storescp(dcmtk, own, authority, mark, "--ignore-peer-cert"),
    )
    yield Stranger(
        "mutual TLS acceptor",
        {2762: ("E1", "E1", "E1")},
        lambda own, _: _storescp(dcmtk, own, authority, mark),
    )
    yield Stranger(
        "portal that takes blank credentials",
        {8080: ("E1", "E1", "E4")},
        lambda _, address: portal(lambda user, password: user == password == "", address=address, port=8080, mark=mark),
    )
    yield Stranger("anonymous FTP", {21: ("E0", "E4", "E5")}, lambda own, address: _vsftpd(own, address, canary))
    yield Stranger("guest SMB", {445: ("E0", "E4", "E5")}, lambda own, address: _samba(own, address, canary))
    yield Stranger("NFS", {2049: ("E0", "E4", "E5")}, lambda own, address: _nfs(own, address, canary))
    yield Stranger("rsync", {873: ("E0", "E4", "E5")}, lambda own, address: _rsyncd(own, address, canary))
    yield Stranger("HTTP listing", {80: ("E0", "E4", "E5")}, lambda own, address: _listing(own, address, canary))
    yield Stranger("echo server on port 104", {104: ("E0", "E0", "E0")}, lambda _, address: echo(address, 104))
    yield Stranger("web server on port 104", {104: ("E0", "E0", "E0")}, lambda _, address: http(address, 104))
    yield Stranger(
        "honeypot after Dicompot",
        {11112: ("E2", "E3", "E5")},
        lambda _, address: pynetdicom_server(
            canary, heeds_key=True, address=address, port=11112, class_uid=DICOMPOT[0], version=DICOMPOT[1]
        ),
    )


@contextmanager
def _everything(_: Path, address: str) -> Generator[None]:
    """Listen where anybody of the town does, and answer nothing."""
    with ExitStack() as stack:
        for port in (21, 80, 104, 111, 443, 445, 873, 2049, 2762, 4242, 8042, 8080, 11112):
            stack.enter_context(echo(address, port))
        yield


@contextmanager
def _leadglass(folder: Path, address: str) -> Generator[None]:
    doors = [f"--{name}={address}:{port}" for name, port in (("dicom-tls", 2762), ("dicom", 11112), ("http", 443))]
    command = [sys.executable, "-m", "leadglass", "demo", "--json", "--data", str(folder / "demo"), *doors]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            assert any('"all"' in line for line in process.stdout), (folder / "log").read_text()
            yield
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def _orthanc(folder: Path, file: Path | None, **more: Any) -> Generator[None]:
    with orthanc(folder, {}, dicom_port=4242, http_port=8042, more=more) as peer:
        if file is not None:
            peer.upload(file)
        yield


@contextmanager
def _proxies(folder: Path, address: str, file: Path) -> Generator[None]:
    """Run nginx, open and closed, before an Orthanc with DICOMweb whose own web port refuses other machines."""
    with orthanc(folder / "orthanc", {}, http_port=8042, dicomweb={}) as peer, ExitStack() as stack:
        peer.upload(file)
        passed = "proxy_pass http://127.0.0.1:8042/dicom-web/;"
        for port, lines in ((80, passed), (8080, f"return 401; {passed}")):
            said = f"location /dicom-web/ {{ {lines} }}"
            stack.enter_context(nginx(folder / f"nginx-{port}", said, address=address, port=port))
        yield


@contextmanager
def _qrscp(dcmtk: Dcmtk, folder: Path, file: Path) -> Generator[None]:
    """Run pynetdicom's own program, on a folder of its own."""
    pytest.importorskip("sqlalchemy", reason="pynetdicom's qrscp needs SQLAlchemy.")
    command = [
        sys.executable, "-m", "pynetdicom", "qrscp", "--port", "11112", "-q",
        "--database-location", str(folder / "qrscp.sqlite"), "--instance-location", str(folder / "instances"),
    ]  # fmt: skip
    with running(command, log=folder / "log", cwd=folder):
        wait_until(lambda: is_listening(11112), "qrscp listens")
        sent = dcmtk("storescu", "-aec", "QRSCP", "127.0.0.1", "11112", file)
        assert sent.code == 0, sent.said
        yield


@contextmanager
def _storescp(dcmtk: Dcmtk, folder: Path, authority: Authority, mark: str, *options: str) -> Generator[None]:
    credentials = authority.issue(f"{mark}-{folder.name}")
    with dcmtk.storescp(folder / "received", port=2762, credentials=credentials, options=("-v", *options)):
        yield


def _share(folder: Path, canary: Canary) -> Path:
    made = folder / "share"
    made.mkdir()
    for number in range(3):
        canary.write(made).rename(made / f"{canary.text} {number}.dcm")
    (made / f"{canary.text}.txt").write_text(canary.text)
    return made


@contextmanager
def _readable(canary: Canary) -> Generator[Path]:
    """Give a folder of images that the users of servers may read: they may not look into the folders of a test."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        around = Path(name)
        made = _share(around, canary)
        for each in (around, made, *made.iterdir()):
            each.chmod(0o755)
        yield made


@contextmanager
def _vsftpd(folder: Path, address: str, canary: Canary) -> Generator[None]:
    program = find_program("vsftpd")
    if program is None:
        pytest.skip("vsftpd is not installed: apt-get install vsftpd")
    (folder / "empty").mkdir()
    with _readable(canary) as files:
        (folder / "vsftpd.conf").write_text(
            f"listen=YES\nlisten_address={address}\nlisten_port=21\nbackground=NO\nanonymous_enable=YES\n"
            f"local_enable=NO\nwrite_enable=NO\nanon_root={files}\nno_anon_password=YES\n"
            f"secure_chroot_dir={folder / 'empty'}\nftp_username=ftp\nseccomp_sandbox=NO\nftpd_banner={canary.text}\n"
        )
        with running([program, folder / "vsftpd.conf"], log=folder / "log"):
            yield


@contextmanager
def _samba(folder: Path, address: str, canary: Canary) -> Generator[None]:
    settings = f"map to guest = Bad User\nserver string = {canary.text}"
    with (
        _readable(canary) as files,
        samba(folder / "samba", settings, {canary.text: f"path = {files}\nguest ok = yes"}, port=445, address=address),
    ):
        yield


@contextmanager
def _nfs(folder: Path, address: str, canary: Canary) -> Generator[None]:
    """Run nfs-ganesha, which keeps its mountd beside it, and a portmapper at port 111."""
    with (
        _readable(canary) as files,
        ganesha(folder / "ganesha", [Export(files, f"/{canary.text}")], with_mountd=True, port=2049, address=address),
    ):
        yield


@contextmanager
def _rsyncd(folder: Path, address: str, canary: Canary) -> Generator[None]:
    program = find_program("rsync")
    if program is None:
        pytest.skip("rsync is not installed: apt-get install rsync")
    (folder / "motd").write_text(f"Welcome to {canary.text}\n")
    (folder / "rsyncd.conf").write_text(
        f"address = {address}\nport = 873\nuse chroot = no\nmotd file = {folder}/motd\npid file = {folder}/pid\n"
        f"[{canary.text}]\npath = {_share(folder, canary)}\ncomment = {canary.text} images\n"
    )
    with running([program, "--daemon", "--no-detach", "--config", folder / "rsyncd.conf"], log=folder / "log"):
        yield


@contextmanager
def _listing(folder: Path, address: str, canary: Canary) -> Generator[None]:
    """Run nginx as it lists what it has."""
    share = _share(folder, canary)
    with nginx(folder / "nginx", f"location / {{ root {share}; autoindex on; }}", address=address, port=80):
        yield
