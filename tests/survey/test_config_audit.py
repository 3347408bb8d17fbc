"""Configuration files: what they would expose is said by key and count, and no value of theirs goes further."""

import json
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.doors.cli.main import run
from leadglass.errors import BadInput
from leadglass.survey.config_audit import Kind, audit
from leadglass.survey.findings import Finding, Severity
from leadglass.survey.scope import Vantage

CANARY = "CANARYCONFIG"

_ORTHANC = {
    "Name": CANARY,
    "HttpPort": 8042,
    "RemoteAccessAllowed": True,
    "AuthenticationEnabled": False,
    "DicomAlwaysAllowFind": True,
    "DicomModalities": {CANARY: [CANARY, "192.0.2.9", 104]},
}
_SAFE = {
    "RemoteAccessAllowed": True,
    "AuthenticationEnabled": True,
    "SslEnabled": True,
    "RegisteredUsers": {CANARY: CANARY},
    "DicomTlsEnabled": True,
    "DicomAlwaysAllowStore": False,
    "DicomCheckModalityHost": True,
}
_DCMQRSCP = f"""# comment (ANY)
HostTable BEGIN
{CANARY} = ({CANARY}, 192.0.2.9, 104)
HostTable END
AETable BEGIN
{CANARY} /srv/{CANARY} RW (200, 1024mb) ANY
CLOSED  "/srv/with blank" R (200, 1024mb) {CANARY}
OPEN  "/srv/with blank" R (200, 1024mb) HOME, ANY
AETable END
"""
_COMPOSE = f"""services:
  pacs:
    image: {CANARY}
    ports:
      - "104:4242"
      - "127.0.0.1:8042:8042"
      - 0.0.0.0:5432:5432
    environment:
      ORTHANC__AUTHENTICATION_ENABLED: "false"
      POSTGRES_PASSWORD: pacs
"""
_LDIF = f"""dn: dicomDeviceName={CANARY},cn=Devices
objectClass: dicomDevice

dn: cn=dicom,dicomDeviceName={CANARY}
objectClass: dicomNetworkConnection
dicomPort: 11112

dn: cn=dicom-tls,dicomDeviceName={CANARY}
objectClass: dicomNetworkConnection
dicomPort: 2762
dicomTLSCipherSuite: TLS_AES_128_GCM_SHA256

dn: dicomAETitle={CANARY},dicomDeviceName={CANARY}
objectClass: dicomNetworkAE
dicomAssociationAcceptor: TRUE
dicomAETitle: {CANARY}

dn: dicomAETitle=CLOSED,dicomDeviceName={CANARY}
objectClass: dicomNetworkAE
dicomAssociationAcceptor: TRUE
dcmAcceptedCallingAETitle: {CANARY}
"""
_CONQUEST = f"[sscscp]\nMicroPACS = sscscp\nMyACRNema = {CANARY}\nTCPPort = 5678\n"


def _audit(folder: Path, text: str, vantage: Vantage = Vantage.INTERNAL) -> tuple[Kind, dict[str, Finding]]:
    path = folder / "a file"
    path.write_text(text)
    kind, found = audit(path, vantage)
    assert CANARY not in repr(found)
    assert all(each.transport == "file" and each.not_tested for each in found)
    assert len({each.id for each in found}) == len(found)
    return kind, {each.check: each for each in found}


def _rungs(found: dict[str, Finding]) -> dict[str, str]:
    return {check: each.exposure.name for check, each in found.items()}


def test_an_orthanc_that_is_open_on_purpose_is_called_so(tmp_path: Path) -> None:
    text = "// as in a tutorial\n" + json.dumps(_ORTHANC, indent=1)[:-2] + ', /* {" */ }'
    kind, found = _audit(tmp_path, text)
    assert kind is Kind.ORTHANC
    assert _rungs(found) == {
        "config-orthanc-open": "E4",
        "config-orthanc-clear": "E1",
        "config-orthanc-strangers": "E3",
        "config-orthanc-store": "E4",
        "config-orthanc-titles": "E2",
    }


def test_an_orthanc_that_is_closed_has_no_finding(tmp_path: Path) -> None:
    assert _audit(tmp_path, json.dumps(_SAFE))[1] == {}


@pytest.mark.parametrize(("user", "secret"), [("orthanc", "orthanc"), (CANARY, "")])
def test_a_password_of_a_handbook_is_critical_wherever_from(user: str, secret: str, tmp_path: Path) -> None:
    _, found = _audit(tmp_path, json.dumps({**_SAFE, "RegisteredUsers": {user: secret, "x": CANARY}}))
    assert found["config-orthanc-default"].severity is Severity.CRITICAL
    assert found["config-orthanc-default"].proof == {"RegisteredUsers": 2, "blank or default": 1}


def test_a_file_of_passwords_alone_is_read_for_passwords_alone(tmp_path: Path) -> None:
    _, found = _audit(tmp_path, json.dumps({"RegisteredUsers": {"orthanc": "orthanc"}}))
    assert _rungs(found) == {"config-orthanc-default": "E4"}


def test_areas_of_dcmqrscp_for_any_are_counted(tmp_path: Path) -> None:
    kind, found = _audit(tmp_path, _DCMQRSCP)
    assert kind is Kind.DCMQRSCP
    assert found["config-dcmqrscp-any"].proof == {"areas": 3, "anybody may read": 2, "anybody may write": 1}


def test_a_compose_file_is_read_for_what_it_publishes(tmp_path: Path) -> None:
    kind, found = _audit(tmp_path, _COMPOSE)
    assert kind is Kind.COMPOSE
    assert _rungs(found) == {
        "config-compose-open": "E4",
        "config-compose-published": "E1",
        "config-compose-default": "E1",
    }
    assert found["config-compose-published"].proof == {"DICOM": 1, "a database": 1}


def test_titles_of_dcm4chee_without_callers_are_counted(tmp_path: Path) -> None:
    kind, found = _audit(tmp_path, _LDIF)
    assert kind is Kind.DCM4CHEE
    assert found["config-dcm4chee-callers"].proof == {"AE titles without a list of callers": 1}
    assert found["config-dcm4chee-clear"].proof == {"connections": 2, "without TLS": 1}


def test_conquest_without_a_script_for_callers_is_inferred_to_be_open(tmp_path: Path) -> None:
    kind, found = _audit(tmp_path, _CONQUEST)
    assert kind is Kind.CONQUEST
    assert found["config-conquest-callers"].inferred
    assert _audit(tmp_path, _CONQUEST + "[lua]\nassociation = return callers()\n")[1] == {}


@pytest.mark.parametrize(
    "text", ["", "a letter", "{", '{"DicomPort": 4242', '["DicomPort"]', "{" * 100_000 + '"DicomPort"']
)
def test_what_is_no_configuration_is_refused_in_a_sentence(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\."):
        _audit(tmp_path, text)


def test_the_command_says_it_to_people_and_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "orthanc.json"
    path.write_text(json.dumps(_ORTHANC))
    assert run(["survey", "config", str(path)], App) == 0
    assert "Nothing was sent." in "".join(capsys.readouterr())
    assert run(["survey", "config", str(path), "--vantage", "internet", "--fail-on", "critical", "--json"], App) == 1
    told = capsys.readouterr().out
    assert CANARY not in told
    assert json.loads(told)["files"][0]["configures"] == "Orthanc"
