"""Testing a device: every step against real strangers, and what is advised where it stops."""

import asyncio
import http.server
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.ae import ApplicationEntity

from leadglass.crypto.tls import client_context
from leadglass.doors.dimse.probe import LIMITS, Prober, Result, Stage, Step
from leadglass.identity.device import Device
from tests.doors.dimse.house import House
from tests.peers.dcmtk import Dcmtk
from tests.peers.running import Credentials, free_port

QUICK = replace(LIMITS, connect=2.0, tls_handshake=1.5, negotiation=1.5, response=2.0)


def probe(house: House, ae_title: str) -> list[Step]:
    """Test a device; gives the steps."""
    tls = client_context(house.folder / "server.pem", house.folder / "ca.pem")
    steps: list[Step] = []
    device = house.devices.get(ae_title)
    answered = asyncio.run(Prober("LEADGLASS", tls, QUICK).run(device, house.devices, steps.append))
    assert answered == (steps[-1].stage is Stage.ECHO and steps[-1].result is Result.DONE)
    return steps


def enrol(house: House, ae_title: str, port: int, *, host: str = "127.0.0.1", lane: bool = True) -> None:
    """Register a device that receives."""
    until = house.devices.today + timedelta(days=30)
    device = Device.parse(
        ae_title, ["127.0.0.1"], ["store"], plaintext=lane, until=until if lane else None, host=host, port=port
    )
    house.devices.add(house.operator, device, replace=True)


def with_certificate(house: House, ae_title: str, port: int) -> Credentials:
    """Register a device that receives over TLS; gives its files."""
    enrol(house, ae_title, port, lane=False)
    out = house.folder / f"of-{ae_title}-{port}-{len(list(house.folder.iterdir()))}"
    house.devices.enrol(house.operator, ae_title, out)
    return Credentials(out)


def last(steps: list[Step]) -> tuple[Stage, Result]:
    return steps[-1].stage, steps[-1].result


def test_a_device_in_its_lane_answers_step_by_step(house: House, dcmtk: Dcmtk, tmp_path: Path) -> None:
    with dcmtk.storescp(tmp_path / "in") as received:
        enrol(house, "OLDUS", received.port)
        steps = probe(house, "OLDUS")
    assert [step.stage for step in steps] == [Stage.CONNECT, Stage.TLS, Stage.ASSOCIATE, Stage.ECHO]
    assert steps[1].result is Result.NOTED
    assert "plaintext lane" in steps[1].said


def test_a_device_with_its_certificate_answers_and_shows_what_tls_it_speaks(
    house: House, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    port = free_port()
    files = with_certificate(house, "CT1", port)
    with dcmtk.storescp(tmp_path / "in", port=port, credentials=files):
        steps = probe(house, "CT1")
    assert last(steps) == (Stage.ECHO, Result.DONE)
    assert "TLSv1." in steps[1].said


def test_a_name_is_looked_up_first_and_one_that_is_unknown_is_said_so(
    house: House, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    with dcmtk.storescp(tmp_path / "in") as received:
        enrol(house, "OLDUS", received.port, host="localhost")
        steps = probe(house, "OLDUS")
        assert (steps[0].stage, last(steps)) == (Stage.NAME, (Stage.ECHO, Result.DONE))
    enrol(house, "OLDUS", 104, host="no-such-host.invalid")
    steps = probe(house, "OLDUS")
    assert last(steps) == (Stage.NAME, Result.FAILED)
    assert "Check the spelling" in steps[-1].advice


def test_in_plaintext_nothing_outside_of_the_devices_addresses_is_even_connected_to(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        until = house.devices.today + timedelta(days=30)
        elsewhere = Device.parse(
            "OLDUS", ["10.9.9.9"], ["store"], plaintext=True, until=until, host="localhost",
            port=listening.getsockname()[1],
        )  # fmt: skip
        house.devices.add(house.operator, elsewhere)
        steps = probe(house, "OLDUS")
        assert last(steps) == (Stage.NAME, Result.FAILED)
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_a_port_on_which_nobody_listens(house: House) -> None:
    enrol(house, "OLDUS", free_port())
    steps = probe(house, "OLDUS")
    assert last(steps) == (Stage.CONNECT, Result.FAILED)
    assert "refuses connections" in steps[-1].said
    assert "compare the port" in steps[-1].advice


@pytest.mark.parametrize(("lane", "stage"), [(True, Stage.ASSOCIATE), (False, Stage.TLS)])
def test_a_port_that_takes_connections_and_says_nothing(house: House, stage: Stage, *, lane: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        if lane:
            enrol(house, "SILENT", port)
        else:
            with_certificate(house, "SILENT", port)
        steps = probe(house, "SILENT")
    assert last(steps) == (stage, Result.FAILED)
    assert "says nothing" in steps[-1].said + steps[-1].advice


@contextmanager
def web_server() -> Generator[int]:
    """Run a web server; gives its port."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
            del format, args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("lane", [True, False])
def test_a_web_server_on_the_port_is_recognized_as_no_dicom(house: House, *, lane: bool) -> None:
    with web_server() as port:
        if lane:
            enrol(house, "WEB", port)
        else:
            with_certificate(house, "WEB", port)
        steps = probe(house, "WEB")
    assert steps[-1].result is Result.FAILED
    assert "web server" in steps[-1].advice or "TLS" in steps[-1].advice


def test_plain_dicom_where_tls_is_expected_and_the_other_way_round(house: House, dcmtk: Dcmtk, tmp_path: Path) -> None:
    with dcmtk.storescp(tmp_path / "in") as received:
        with_certificate(house, "CT1", received.port)
        steps = probe(house, "CT1")
        assert last(steps) == (Stage.TLS, Result.FAILED)
        assert "port for TLS" in steps[-1].advice
    port = free_port()
    files = with_certificate(house, "CT2", port)
    with dcmtk.storescp(tmp_path / "in2", port=port, credentials=files):
        enrol(house, "CT3", port)
        steps = probe(house, "CT3")
        assert last(steps) == (Stage.ASSOCIATE, Result.FAILED)
        assert "TLS" in steps[-1].advice


def test_a_device_that_shows_an_older_certificate_of_ours_is_told_to_install_the_newest(
    house: House, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    port = free_port()
    old = with_certificate(house, "CT1", port)
    with_certificate(house, "CT1", port)
    with dcmtk.storescp(tmp_path / "in", port=port, credentials=old):
        steps = probe(house, "CT1")
    assert last(steps) == (Stage.TLS, Result.FAILED)
    assert "newest certificate" in steps[-1].advice


def test_a_device_with_a_certificate_of_its_own_making_is_told_so(house: House, dcmtk: Dcmtk, tmp_path: Path) -> None:
    port = free_port()
    files = with_certificate(house, "CT1", port)
    own = tmp_path / "own"
    own.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=CT1", "-days", "30",
         "-keyout", own / "key.pem", "-out", own / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (own / "ca.pem").write_bytes(files.authority.read_bytes())
    with dcmtk.storescp(tmp_path / "in", port=port, credentials=Credentials(own)):
        steps = probe(house, "CT1")
    assert last(steps) == (Stage.TLS, Result.FAILED)
    assert "certificate of its own" in steps[-1].advice


def test_a_device_that_does_not_know_our_authority_is_told_to_install_it(house: House, tmp_path: Path) -> None:
    port = free_port()
    files = with_certificate(house, "CT1", port)
    stranger = tmp_path / "other.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=Another authority", "-keyout", tmp_path / "k.pem", "-out", stranger],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(stranger))
    context.load_cert_chain(files.certificate, files.key)
    context.verify_mode = ssl.CERT_REQUIRED

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        # A second handle keeps the connection up until we hang up: closed with our A-ASSOCIATE-RQ unread, TCP would
        # send a reset that may overtake the alert.
        with connection.dup() as kept:
            with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)
            with suppress(OSError):
                while kept.recv(4096):
                    pass

    with socket.create_server(("127.0.0.1", port)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        steps = probe(house, "CT1")
        thread.join()
    assert last(steps) == (Stage.TLS, Result.FAILED)
    assert "ca.pem" in steps[-1].advice


def test_a_device_that_hangs_up_right_after_the_handshake_may_not_trust_us(house: House, tmp_path: Path) -> None:
    """In TLS 1.3 a refused client learns of it after the handshake, and a reset may overtake the alert."""
    port = free_port()
    files = with_certificate(house, "CT1", port)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with socket.create_server(("127.0.0.1", port)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        steps = probe(house, "CT1")
        thread.join()
    assert steps[-1].result is Result.FAILED
    assert "ca.pem" in steps[-1].advice


@pytest.mark.parametrize(
    ("option", "words"),
    [("--refuse", "See the device's own log"), ("--require-called", "Its own AE title is not")],
)
def test_a_rejection_is_said_with_its_reason(
    house: House, dcmtk: Dcmtk, tmp_path: Path, option: str, words: str
) -> None:
    port = free_port()
    enrol(house, "OLDUS", port)
    if option == "--refuse":
        with dcmtk.storescp(tmp_path / "in", port=port, options=("+xa", "--refuse")):
            steps = probe(house, "OLDUS")
    else:
        with house_that_is_called_otherwise(port):
            steps = probe(house, "OLDUS")
    assert last(steps) == (Stage.ASSOCIATE, Result.FAILED)
    assert "rejects us" in steps[-1].said
    assert words in steps[-1].advice


@contextmanager
def house_that_is_called_otherwise(port: int) -> Generator[None]:
    """Run pynetdicom, which insists on its own name."""
    entity: Any = ApplicationEntity("OTHER")
    entity.require_called_aet = True
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", port), block=False)
    assert server is not None
    try:
        yield
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ({"plaintext": True, "until": "past", "host": "127.0.0.1", "port": 104}, "lane of GONE ended"),
        ({"host": "127.0.0.1", "port": 104}, "no certificate yet"),
        ({}, "No host and port"),
    ],
)
def test_a_device_that_cannot_be_reached_as_it_is_enrolled_is_not_connected_to(
    house: House, device: dict[str, object], words: str
) -> None:
    until = house.devices.today - timedelta(days=1) if device.pop("until", "") else None
    made = Device(
        "GONE",
        Device.parse("X", ["127.0.0.1"]).addresses,
        Device.parse("X", ["127.0.0.1"]).allow,
        plaintext=bool(device.get("plaintext")),
        until=until,
        host=str(device.get("host", "")),
        port=int(str(device.get("port", 0))),
    )
    steps: list[Step] = []
    answered = asyncio.run(Prober("LEADGLASS", None, QUICK).run(made, house.devices, steps.append))
    assert not answered
    assert [step.stage for step in steps] == [Stage.SET_UP]
    assert words in steps[0].said
    assert steps[0].advice
