"""What is handed out works with real strangers, as the page says; and it is handed out one time."""

import io
import re
import ssl
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from pynetdicom.ae import ApplicationEntity

from tests.doors.pages.browser import Browser, records
from tests.doors.pages.devices.devicehouse import DeviceHouse
from tests.peers.dcmtk import Dcmtk
from tests.peers.running import Credentials
from tests.peers.tls import server_context


def hand_out(manager: Browser, path: str, how: str, **fields: str) -> bytes:
    """Make a certificate, and give what was downloaded."""
    manager.get(f"{path}/certificate")
    known = {"csrf": manager.csrf, "instead_of": instead_of(manager), "format": how, **fields}
    answer = manager.client.post(f"{path}/certificate", data=known, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.content


def instead_of(manager: Browser) -> str:
    found = re.search(r'name="instead_of" value="([^"]*)"', manager.page)
    assert found
    return found[1]


def unzipped(data: bytes, folder: Path) -> Credentials:
    """Unpack a ZIP as who downloaded it would."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)
    return Credentials(folder)


def echo(dcmtk: Dcmtk, house: DeviceHouse, ae_title: str, files: Credentials, *, called: str = "LEADGLASS") -> int:
    """Send a C-ECHO with DCMTK over TLS; gives its exit code."""
    host, port = house.web.doors.tls
    options = ["+tls", files.key, files.certificate, "+cf", files.authority]
    return dcmtk("echoscu", *options, "-aet", ae_title, "-aec", called, host, str(port)).code


def test_the_zip_opens_the_door_for_dcmtk_and_for_pynetdicom(
    house: DeviceHouse, manager: Browser, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    files = unzipped(hand_out(manager, house.add("PEM1"), "pem"), tmp_path / "pem")
    assert sorted(each.name for each in files.folder.iterdir()) == ["ca.pem", "cert.pem", "key.pem", "settings.txt"]
    assert echo(dcmtk, house, "PEM1", files) == 0
    said = (files.folder / "settings.txt").read_text()
    assert "LEADGLASS" in said
    assert str(house.web.doors.tls[1]) in said
    context = ssl.create_default_context(cafile=str(files.authority))
    context.load_cert_chain(files.certificate, files.key)
    entity: Any = ApplicationEntity("PEM1")
    entity.add_requested_context("1.2.840.10008.1.1")
    host, port = house.web.doors.tls
    association = entity.associate(host, port, ae_title="LEADGLASS", tls_args=(context, host))
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()


def test_the_device_can_also_receive_with_it(house: DeviceHouse, manager: Browser, tmp_path: Path) -> None:
    files = unzipped(hand_out(manager, house.add("PEM2"), "pem"), tmp_path / "pem")
    server_context(files)  # both files fit together, and serve


def test_the_pkcs12_file_opens_with_the_password_that_was_shown_and_opens_the_door(
    house: DeviceHouse, manager: Browser, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    path = house.add("P12")
    manager.get(f"{path}/certificate")
    shown = re.search(r'id="file-password">([^<]+)<', manager.page)
    assert shown
    assert re.fullmatch(r"([a-z2-9]{4}-){4}[a-z2-9]{4}", shown[1])
    data = hand_out(manager, path, "p12", password=shown[1])
    read = load_pkcs12(data, shown[1].encode())
    assert read.key is not None
    assert read.cert is not None
    assert [each.certificate for each in read.additional_certs], "the authority is in it"
    (tmp_path / "file.p12").write_bytes(data)
    out = tmp_path / "all.pem"
    subprocess.run(
        ["openssl", "pkcs12", "-in", tmp_path / "file.p12", "-passin", f"pass:{shown[1]}", "-nodes", "-out", out],
        check=True, capture_output=True,
    )  # fmt: skip
    wrong = subprocess.run(
        ["openssl", "pkcs12", "-in", tmp_path / "file.p12", "-passin", "pass:wrong", "-nodes"],
        check=False, capture_output=True,
    )  # fmt: skip
    assert wrong.returncode != 0
    (tmp_path / "key.pem").write_bytes(read.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "cert.pem").write_bytes(read.cert.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "ca.pem").write_bytes(read.additional_certs[0].certificate.public_bytes(Encoding.PEM))
    assert echo(dcmtk, house, "P12", Credentials(tmp_path)) == 0
    assert "PRIVATE KEY" in out.read_text()


@pytest.mark.parametrize("password", ["", "short", "aaaa-aaaa-aaaa-aaaa", "0000-0000-0000-0000-0000", "é" * 24])
def test_a_password_that_the_page_did_not_make_is_not_taken(
    house: DeviceHouse, manager: Browser, password: str
) -> None:
    path = house.add("P12BAD")
    manager.get(f"{path}/certificate")
    fields = {"csrf": manager.csrf, "instead_of": "", "format": "p12", "password": password}
    manager.post(f"{path}/certificate", fields)
    assert manager.status == 400
    assert "Load the page again" in manager.alert
    assert "No certificate yet" in manager.get(path).text


def test_sending_the_form_twice_hands_out_nothing_more_and_the_first_still_counts(
    house: DeviceHouse, manager: Browser, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    path = house.add("TWICE")
    files = unzipped(hand_out(manager, path, "pem"), tmp_path / "first")
    again = {"csrf": manager.csrf, "instead_of": "", "format": "pem"}
    manager.post(f"{path}/certificate", again)
    assert manager.status == 409
    assert "after this page was opened" in manager.alert
    assert "PRIVATE KEY" not in manager.page
    assert echo(dcmtk, house, "TWICE", files) == 0
    assert manager.client.get(f"{path}/certificate").status_code == 200
    assert b"PRIVATE KEY" not in manager.client.get(f"{path}/certificate").content


def test_renewing_ends_the_certificate_before_and_revoking_the_one_that_counts(
    house: DeviceHouse, manager: Browser, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    path = house.add("RENEW")
    old = unzipped(hand_out(manager, path, "pem"), tmp_path / "old")
    new = unzipped(hand_out(manager, path, "pem"), tmp_path / "new")
    assert echo(dcmtk, house, "RENEW", old) != 0
    assert echo(dcmtk, house, "RENEW", new) == 0
    manager.get(f"{path}/end?what=revoke")
    manager.send(f"{path}/revoke")
    assert "is revoked" in manager.page
    assert echo(dcmtk, house, "RENEW", new) != 0
    assert "ended certificate" in manager.get(path).text


def test_a_device_that_makes_its_own_key_gets_a_certificate_over_it(
    house: DeviceHouse, manager: Browser, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    path = house.add("CSR1")
    subprocess.run(
        ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=SOMEBODY ELSE/O=Evil",
         "-addext", "subjectAltName=URI:dicom-ae:ADMIN", "-keyout", tmp_path / "own.pem", "-out", tmp_path / "r.csr"],
        check=True, capture_output=True,
    )  # fmt: skip
    made = hand_out(manager, path, "csr", request=(tmp_path / "r.csr").read_text())
    files = unzipped(made, tmp_path / "signed")
    assert not files.key.exists()
    files.key.write_bytes((tmp_path / "own.pem").read_bytes())
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=CSR1", "who it is comes from the enrolment"
    assert "ADMIN" not in str(certificate.extensions)
    assert echo(dcmtk, house, "CSR1", files) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "no certificate request"),
        ("-----BEGIN PRIVATE KEY-----\nMIIBAAAA\n-----END PRIVATE KEY-----", "is a private key"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "cannot be read"),
        ("x" * 20_000, "no certificate request"),
    ],
)
def test_what_is_no_request_is_refused_and_ends_no_certificate(
    house: DeviceHouse, manager: Browser, text: str, words: str
) -> None:
    path = house.add("CSR2")
    manager.get(f"{path}/certificate")
    manager.post(f"{path}/certificate", {"csrf": manager.csrf, "instead_of": "", "format": "csr", "request": text})
    assert manager.status == 400
    assert words in manager.alert
    assert "MIIBAAAA" not in manager.page, "a private key is not sent back once more"


def test_a_request_with_a_weak_key_is_refused_with_what_to_make(
    house: DeviceHouse, manager: Browser, tmp_path: Path
) -> None:
    path = house.add("CSR3")
    subprocess.run(
        ["openssl", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=CSR3", "-keyout",
         tmp_path / "k.pem", "-out", tmp_path / "r.csr"],
        check=True, capture_output=True,
    )  # fmt: skip
    manager.get(f"{path}/certificate")
    request = (tmp_path / "r.csr").read_text()
    manager.post(f"{path}/certificate", {"csrf": manager.csrf, "instead_of": "", "format": "csr", "request": request})
    assert manager.status == 400
    assert "P-256" in manager.alert


def test_the_key_is_nowhere_in_the_data_folder_and_the_making_is_on_record(
    house: DeviceHouse, manager: Browser, tmp_path: Path
) -> None:
    files = unzipped(hand_out(manager, house.add("NOKEEP"), "pem"), tmp_path / "files")
    secret = files.key.read_bytes().splitlines()[1]
    for each in house.web.leadglass.data.rglob("*"):
        if each.is_file():
            assert secret not in each.read_bytes(), each
    [event] = [
        e for e in records(house.web, "manage") if e.detail.get("change") == "enrol" and e.detail["device"] == "NOKEEP"
    ]
    assert (event.door, event.caller) == ("pages", "person:manager")


def test_the_authority_is_downloaded_by_who_manages_devices(house: DeviceHouse, manager: Browser) -> None:
    answer = manager.get("/devices/ca.pem")
    assert answer.content == house.web.authority.read_bytes()
