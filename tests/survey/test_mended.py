"""Mended as the report says, each of them is clean when the same survey looks again.

Rule: settings are the recipe's own, word for word; only ports, paths and names that it leaves to its reader are
replaced.
"""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.survey.check import Check, Known
from leadglass.survey.checks import directory_listing, http_identify, nfs_exports, open_store, registry, smb_guest
from leadglass.survey.config_audit import audit
from leadglass.survey.recipes import RECIPES
from leadglass.survey.scope import Level
from tests.peers.certificates import write_certificate
from tests.peers.dcmtk import Dcmtk
from tests.peers.orthanc import orthanc
from tests.peers.running import find_program, free_port, is_listening, running, wait_until
from tests.survey.apache import apache
from tests.survey.canaries import Canary
from tests.survey.ganesha import Export, ganesha
from tests.survey.networks import Machine, network
from tests.survey.nginx import nginx
from tests.survey.samba import CANARY, OPEN, images, samba
from tests.survey.surroundings import dcmqrscp
from tests.survey.test_shares import vsftpd
from tests.survey.visiting import Visited, visit

WEB = (http_identify.CHECK, directory_listing.CHECK, open_store.WEBDAV, open_store.BUCKET)
"""Those of the web: Apache waits long for the rest of what is no HTTP."""


def said(recipe: str, product: str) -> str:
    """Give the settings of a recipe for a product."""
    return next(step.lines for step in RECIPES[recipe].steps if step.product == product)


def _as_json(lines: str) -> dict[str, object]:
    return json.loads("{" + lines + "}")


def _first(known: Known, _port: int) -> bool:
    return known.is_open is None


def _at_any_port(*own: Check) -> Sequence[Check]:
    return tuple(replace(each, applies=_first) if each in own else each for each in registry.CHECKS)


@pytest.fixture
def files() -> Generator[Path]:
    """Give a folder of images."""
    with images() as folder:
        yield folder


def _visited(folder: Path, port: int, checks: Sequence[Check] = registry.CHECKS) -> Visited:
    (folder / "journal.jsonl").unlink(missing_ok=True)
    seen = visit(folder, port, checks, Level.OPT_IN)
    assert not seen.outcome.not_tested
    return seen


def _seen(folder: Path, port: int, checks: Sequence[Check] = registry.CHECKS) -> dict[str, str]:
    return _visited(folder, port, checks).rungs


def test_orthanc(tmp_path: Path) -> None:
    file = Canary().write(tmp_path)
    is_open = {"RemoteAccessAllowed": True, "DicomAlwaysAllowFind": True}
    with orthanc(tmp_path / "open", {}, more=is_open) as peer:
        peer.upload(file)
        before = _seen(tmp_path, peer.dicom) | _seen(tmp_path, peer.http)
    assert (before["dicom-query"], before["orthanc-rest"], max(before.values())) == ("E3", "E4", "E5")
    mended: dict[str, object] = {}
    for recipe in ("dicom-know-your-callers", "dicom-check-called-title", "web-require-login", "default-passwords"):
        mended |= _as_json(said(recipe, "Orthanc"))
    (tmp_path / "orthanc.json").write_text(json.dumps(mended | {"SslEnabled": True, "DicomTlsEnabled": True}))
    assert audit(tmp_path).findings == []
    with orthanc(tmp_path / "mended", {}, more=json.loads(json.dumps(mended))) as peer:
        after = _seen(tmp_path, peer.dicom) | _seen(tmp_path, peer.http)
    assert set(after.values()) == {"E1"}, after


def test_orthanc_in_tls(tmp_path: Path) -> None:
    """Its DICOM; the web side of the release that Debian 12 has breaks down in TLS, whoever speaks it."""
    pem = write_certificate(tmp_path / "server.pem", bits=2048)
    mended = _as_json(said("dicom-tls", "Orthanc")) | _as_json(said("dicom-mutual-tls", "Orthanc"))
    paths = [key for key, value in mended.items() if str(value).startswith("/etc/orthanc/")]
    assert len(paths) == 3
    mended |= dict.fromkeys(paths, str(pem))
    with orthanc(tmp_path / "mended", {}, more=json.loads(json.dumps(mended))) as peer:
        seen = _visited(tmp_path, peer.dicom)
    assert set(seen.rungs.values()) == {"E1"}
    assert seen.finding("dicom-tls").proof["client_certificate"] == "needed"
    assert {each.transport for each in seen.outcome.findings} == {"tls"}


def test_dcmqrscp(dcmtk: Dcmtk, tmp_path: Path) -> None:
    file = Canary().write(tmp_path)
    with dcmqrscp(dcmtk, tmp_path / "open", "ANY", file) as port:
        assert _seen(tmp_path, port)["dicom-query"] == "E3"
    port = free_port()
    lines = said("dicom-know-your-callers", "DCMTK dcmqrscp").replace("ARCHIVE", "COMMON")
    (tmp_path / "db").mkdir()
    path = tmp_path / "dcmqrscp.cfg"
    path.write_text(f"NetworkTCPPort = {port}\n" + lines.replace("/var/lib/dcmtk/db", str(tmp_path / "db")) + "\n")
    assert audit(path).findings == []
    with running([dcmtk.program("dcmqrscp"), "-c", path], log=tmp_path / "log"):
        wait_until(lambda: is_listening(port), "dcmqrscp listens")
        assert set(_seen(tmp_path, port).values()) == {"E1"}


def test_dcm4chee_and_compose_files_by_what_they_say(tmp_path: Path) -> None:
    entry = "dn: dicomAETitle=A\nobjectClass: dicomNetworkAE\ndicomAssociationAcceptor: TRUE\n{}\n"
    line = "dn: cn=dicom\nobjectClass: dicomNetworkConnection\ndicomPort: 2762\n{}\n"
    path = tmp_path / "a file"
    path.write_text(entry.format("") + "\n" + line.format(""))
    assert len(audit(path).findings) == 2
    callers, tls = said("dicom-know-your-callers", "dcm4chee"), said("dicom-tls", "dcm4chee")
    path.write_text(entry.format(callers) + "\n" + line.format(tls))
    assert audit(path).findings == []
    ports = said("config-secure", "docker-compose").replace("\n", "\n    ")
    path.write_text(f"services:\n  pacs:\n    image: dcm4che/dcm4chee-arc-psql:5.33.1-secure\n    {ports}\n")
    assert audit(path).findings == []
    path.write_text(said("dicom-know-your-callers", "Conquest") + "\n")
    assert audit(path).findings == []


def test_listings_of_nginx_and_apache(files: Path, tmp_path: Path) -> None:
    with nginx(tmp_path / "1", f"root {files}; autoindex on;") as port:
        assert _seen(tmp_path, port, WEB)["directory-listing"] == "E5"
    with nginx(tmp_path / "2", f"root {files}; {said('web-no-listing', 'nginx')}") as port:
        assert _seen(tmp_path, port, WEB) == {}
    granted = "Require all granted\n"
    with apache(tmp_path / "3", files, granted + "Options +Indexes") as port:
        assert _seen(tmp_path, port, WEB)["directory-listing"] == "E5"
    with apache(tmp_path / "4", files, granted + said("web-no-listing", "Apache")) as port:
        assert _seen(tmp_path, port, WEB) == {}


def test_webdav_of_apache(files: Path, tmp_path: Path) -> None:
    with apache(tmp_path / "1", files, "Dav On\nRequire all granted") as port:
        assert _seen(tmp_path, port, WEB)["webdav-open"] == "E5"
    (tmp_path / "people").write_text("")
    lines = said("share-require-login", "WebDAV (Apache)").replace("/etc/apache2/people", str(tmp_path / "people"))
    with apache(tmp_path / "2", files, f"Dav On\n{lines}") as port:
        assert not {directory_listing.CHECK.id, open_store.WEBDAV.id} & set(_seen(tmp_path, port, WEB))


def test_orthanc_behind_nginx(tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc", {}) as peer:
        before = f"location / {{ proxy_pass http://127.0.0.1:{peer.http}; }}"
        with nginx(tmp_path / "1", before) as port:
            assert _seen(tmp_path, port)["orthanc-rest"] >= "E4"
        (tmp_path / "people").write_text("")
        lines = said("web-require-login", "nginx").replace("/etc/nginx/people", str(tmp_path / "people"))
        with nginx(tmp_path / "2", lines.replace("8042", str(peer.http))) as port:
            assert set(_seen(tmp_path, port).values()) <= {"E1"}


def test_samba(files: Path, tmp_path: Path) -> None:
    checks = _at_any_port(smb_guest.CHECK)
    with samba(tmp_path / "1", "map to guest = Bad User", {"images": f"path = {files}\n{OPEN}"}) as port:
        assert _seen(tmp_path, port, checks) == {"smb-guest": "E5"}
    settings, _, share = said("share-require-login", "Samba").partition("[images]")
    with samba(tmp_path / "2", settings.replace("[global]", ""), {"images": f"path = {files}\n{share}"}) as port:
        assert _seen(tmp_path, port, checks) == {}


def test_nfs_ganesha(files: Path, tmp_path: Path) -> None:
    checks = _at_any_port(nfs_exports.CHECK)
    with ganesha(tmp_path / "1", [Export(files, "/images")]) as port:
        assert _seen(tmp_path, port, checks) == {"nfs-exports": "E5"}
    mended = Export(files, "/images", lines=said("share-require-login", "NFS (nfs-ganesha)"))
    with ganesha(tmp_path / "2", [mended]) as port:
        assert set(_seen(tmp_path, port, checks).values()) <= {"E1"}


def test_vsftpd(files: Path, tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    with vsftpd(tmp_path / "1", files, anonymous=True) as port:
        assert _seen(tmp_path, port) == {"ftp-anonymous": "E5"}
    both = write_certificate(tmp_path / "both.pem", bits=2048)
    lines = said("share-require-login", "vsftpd").replace("/etc/vsftpd.pem", str(both))
    with vsftpd(tmp_path / "2", files, anonymous=True, more=lines) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as line, line.makefile("rwb") as talk:
            assert talk.readline().startswith(b"220")
            talk.write(b"AUTH TLS\r\n")
            talk.flush()
            assert talk.readline().startswith(b"234")  # it is there for its users
        assert _seen(tmp_path, port) == {}


@pytest.mark.parametrize("client", ["192.0.2.10", "127.0.0.1"], ids=["a stranger", "the machine that may"])
def test_rsync(client: str, files: Path, tmp_path: Path) -> None:
    program = find_program("rsync")
    if program is None:
        pytest.skip("rsync is not installed: apt-get install rsync")
    (tmp_path / "secrets").write_text("backup:something\n")
    (tmp_path / "secrets").chmod(0o600)
    lines = said("share-require-login", "rsync")
    lines = lines.replace("/etc/rsyncd.secrets", str(tmp_path / "secrets")).replace("192.0.2.10", client)
    for place, module, rungs in ((1, "[images]", {"rsync-modules": "E5"}), (2, lines, {})):
        port = free_port()
        path = tmp_path / f"rsyncd{place}.conf"
        path.write_text(f"address = 127.0.0.1\nport = {port}\nuse chroot = no\n{module}\n  path = {files}\n")
        with running([program, "--daemon", "--no-detach", "--config", path], log=tmp_path / f"log{place}"):
            wait_until(lambda port=port: is_listening(port), "rsync listens")
            assert _seen(tmp_path, port) == rungs


_DOORS: Mapping[str, tuple[int, int]] = {
    "firewall-dicom": (104, 4242),
    "firewall-web": (8042, 8443),
    "firewall-shares": (21, 2049),
}


@contextmanager
def _listener(port: int) -> Generator[None]:
    """Answer on a port of IPv4 and IPv6, in a process of its own."""
    program = f"import socket; s = socket.create_server(('::', {port}), family=socket.AF_INET6, dualstack_ipv6=True)"
    command = [sys.executable, "-c", f"{program}; [s.accept()[0].close() for _ in iter(int, 1)]"]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: is_listening(port), "it listens")
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("recipe", list(_DOORS))
def test_a_firewall(recipe: str, tmp_path: Path) -> None:
    """Who is named gets through; who is not does not, by IPv6 neither; and the machine speaks with itself."""
    if shutil.which("nft", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("nftables is not installed: apt-get install nftables")
    lines = said(recipe, "Linux (nftables)").replace("/etc/nftables.conf", str(tmp_path / "nftables.conf"))
    with network() as here:
        archive, device, stranger = (here.machine(f"192.0.2.{number}", 16) for number in (1, 10, 200))
        stranger_of_web = here.machine("192.0.3.1", 16)
        for number, each in enumerate((archive, device, stranger, stranger_of_web), 1):
            with each.inside():
                subprocess.run(
                    ["ip", "-6", "address", "add", f"2001:db8::{number}/64", "dev", "eth0", "nodad"], check=True
                )
        outside = stranger_of_web if recipe == "firewall-web" else stranger

        def comes_in(machine: Machine, port: int, address: str) -> bool:
            with machine.inside():
                try:
                    socket.create_connection((address, port), 0.5).close()
                except OSError:
                    return False
                return True

        ports = _DOORS[recipe]
        with archive.inside(), _listener(ports[0]), _listener(ports[1]):
            ways = tuple(zip(ports, ("192.0.2.1", "2001:db8::1"), strict=True))
            assert all(comes_in(outside, *way) for way in ways)
            subprocess.run(["sh", "-ec", lines], check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
            assert not any(comes_in(outside, *way) for way in ways)
            assert all(comes_in(device, port, "192.0.2.1") for port in ports)
            assert all(comes_in(archive, port, "127.0.0.1") for port in ports)
        assert CANARY not in (tmp_path / "nftables.conf").read_text()
