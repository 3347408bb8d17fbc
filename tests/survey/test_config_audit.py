"""Configuration files: what they would expose is said by key and count, and no value of theirs goes further."""

import json
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.doors.cli.main import run
from leadglass.errors import BadInput
from leadglass.survey.config_audit import CHECKS, Kind, audit
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
      ORTHANC__REGISTERED_USERS: |
        {{"{CANARY}": "{CANARY}"}}
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
    audited = audit(path, vantage)
    kind, found = audited.kind, audited.findings
    assert CANARY not in repr(found)
    assert {each.check for each in found} <= set(CHECKS[kind])
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
        "config-orthanc-open": "E4",
        "config-orthanc-clear": "E1",
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
    ("port", "is_published"),
    [
        ("104:4242", True),
        ("4242", True),
        ("0.0.0.0:104:4242/tcp", True),
        ("[::]:104:4242", True),
        ("${PORT:-104}:4242", True),
        ("4240-4245:4240-4245", True),
        ("127.0.0.1:104:4242", False),
        ("127.0.0.1::4242", False),
        ("[::1]:104:4242", False),
        ("localhost:104:4242", False),
        ("104:4242/udp", False),
        ("104:9999", False),
    ],
)
def test_each_way_to_publish_a_port_is_read(port: str, *, is_published: bool, tmp_path: Path) -> None:
    for lines in (
        f'    ports:\n      - "{port}" # as before\n',
        f'    ports: ["{port}"]\n',
        f"    ports:\n    - {port}\n",
    ):
        _, found = _audit(tmp_path, f'version: "3"\nservices:\n  pacs:\n    image: {CANARY}\n{lines}volumes:\n  x:\n')
        assert ("config-compose-published" in found) is is_published, lines


def test_ports_in_the_long_form_and_the_network_of_the_machine_are_read(tmp_path: Path) -> None:
    text = (
        "services:\n  a:\n    ports:\n      - target: 104\n        published: 104\n      - target: 4242\n"
        '        host_ip: 127.0.0.1\n  b:\n    network_mode: "host"\n    image: x/y\n'
    )
    _, found = _audit(tmp_path, text)
    assert found["config-compose-published"].proof == {"DICOM": 1}
    assert found["config-compose-host"].proof == {"network_mode: host": 1}


@pytest.mark.parametrize(
    ("environment", "rungs"),
    [
        ("- ORTHANC__AUTHENTICATION_ENABLED=false", {"config-orthanc-open": "E4", "config-orthanc-clear": "E1"}),
        ('ORTHANC__REGISTERED_USERS: \'{"orthanc": "orthanc"}\'', {"config-orthanc-default": "E4"}),
        ("ORTHANC__REGISTERED_USERS__ORTHANC: orthanc", {"config-orthanc-default": "E4"}),
        ("A: b", {"config-orthanc-default": "E4"}),
        (
            "- ORTHANC__DICOM_ALWAYS_ALLOW_FIND=true\n      - ORTHANC__REGISTERED_USERS__A=b",
            {"config-orthanc-strangers": "E3", "config-orthanc-store": "E4", "config-orthanc-titles": "E2"},
        ),
    ],
)
def test_variables_of_orthancs_containers_are_read_as_its_file_is(
    environment: str, rungs: dict[str, str], tmp_path: Path
) -> None:
    text = (
        "services:\n  pacs:\n    image: docker.example/orthanc/orthanc:1\n    ports: ['8042:8042']\n"
        f"    environment:\n      {environment}\n"
    )
    _, found = _audit(tmp_path, text)
    assert _rungs({check: each for check, each in found.items() if check in rungs}) == rungs
    assert set(found) <= {*rungs, "config-orthanc-clear", "config-compose-published"}


def test_dcm4chee_without_a_login_is_told_from_its_secured_image(tmp_path: Path) -> None:
    text = 'services:\n  arc:\n    image: dcm4che/dcm4chee-arc-psql:5.33.1{}\n    ports:\n      - "8080:8080"\n'
    assert _rungs(_audit(tmp_path, text.format(""))[1])["config-compose-dcm4chee"] == "E4"
    assert "config-compose-dcm4chee" not in _audit(tmp_path, text.format("-secure"))[1]


def test_all_files_of_a_folder_are_one_configuration_of_orthanc(tmp_path: Path) -> None:
    """As Debian has it: users are in a file of their own."""
    (tmp_path / "orthanc.json").write_text(json.dumps({**_SAFE, "RegisteredUsers": {}}))
    alone = audit(tmp_path).findings
    assert [(each.check, each.severity, each.inferred) for each in alone] == [
        ("config-orthanc-default", Severity.CRITICAL, False)
    ]
    assert audit(tmp_path / "orthanc.json").findings[0].inferred
    (tmp_path / "credentials.json").write_text(json.dumps({"RegisteredUsers": {CANARY: CANARY}}))
    assert audit(tmp_path).findings == []


def test_destinations_of_conquest_for_whoever_asks_are_counted(tmp_path: Path) -> None:
    text = f"/* title host port form */\n{CANARY} 192.0.2.9 104 un\nV*   *   1234 un\n\nW* * 666 J1\n"
    kind, found = _audit(tmp_path, text)
    assert kind is Kind.CONQUEST_MAP
    assert found["config-conquest-destinations"].proof == {"destinations": 3, "of whoever asks": 2}
    assert _audit(tmp_path, f"{CANARY} 192.0.2.9 104 un\n")[1] == {}


def test_tls_of_dcm4chee_that_asks_for_no_certificate_is_said(tmp_path: Path) -> None:
    _, found = _audit(tmp_path, _LDIF.replace("dicomPort: 2762\n", "dicomPort: 2762\ndcmTLSNeedClientAuth: FALSE\n"))
    assert found["config-dcm4chee-certificates"].proof["without client certificates"] == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{\n// a\n/* b\n c */\n"DicomPort" 4242}', 5),
        (_DCMQRSCP.replace("R (200, 1024mb)", "R 200", 1), 7),
        (_LDIF.replace("dicomPort: 2762", "dicomPort 2762"), 10),
        (_COMPOSE.replace("      - 0.0.0.0", "\t- 0.0.0.0"), 7),
        (_CONQUEST + "[lua\n", 5),
        (f"{CANARY} 192.0.2.9 104 un\n\n{CANARY}\n", 3),
    ],
    ids=["Orthanc", "dcmqrscp", "dcm4chee", "compose", "Conquest", "acrnema.map"],
)
def test_what_is_broken_is_named_by_file_and_line(text: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"^a file, line {line}: ") as raised:
        _audit(tmp_path, text)
    assert CANARY not in str(raised.value)


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


_SCOPE = """[survey]
owner = "a clinic"
contact = "its technician"
authorised_by = "its director"
valid_from = 2020-01-01
valid_until = 2020-12-31
vantage = "partner"
[scope]
networks = ["192.0.2.0/24"]
"""


def _kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert run(["survey", "register", str(folder / "clinic.toml"), "--all", "--json"], App) == 0
    return json.loads(capsys.readouterr().out)


def test_what_files_would_expose_is_followed_until_they_are_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clinic.toml").write_text(_SCOPE)
    path, other = tmp_path / "orthanc.json", tmp_path / "docker-compose.yml"
    path.write_text(json.dumps(_ORTHANC))
    other.write_text(_COMPOSE)
    command = ["survey", "config", "--scope", str(tmp_path / "clinic.toml"), "--asset", "192.0.2.10"]
    assert run([*command, str(path), str(other)], App) == 0
    first = _kept(tmp_path, capsys)
    assert {each["standing"] for each in first} == {"open"}
    assert {(each["address"], each["port"]) for each in first} == {("192.0.2.10", 0)}
    assert {str(each["check"]) for each in first} > {"config-orthanc-open", "config-compose-published"}

    path.write_text(json.dumps(_SAFE))
    assert run([*command, str(path)], App) == 0
    standing = {str(each["check"]): each["standing"] for each in _kept(tmp_path, capsys)}
    assert standing["config-orthanc-open"] == "gone"
    assert standing["config-compose-published"] == "open"  # that file was not read again

    for form in ("html", "json", "csv", "sarif"):
        for number in ("1", "2"):
            out = tmp_path / f"report{number}.{form}"
            said = ["survey", "report", str(tmp_path / "clinic.toml"), "--run", number, "--format", form]
            assert run([*said, "--out", str(out)], App) == 0
            assert CANARY not in out.read_text()
    told = json.loads((tmp_path / "report1.json").read_text())
    assert all(each["inferred"] for each in told["findings"])  # a file is no proof that it runs
    written = b"".join(each.read_bytes() for each in (tmp_path / "clinic.survey").iterdir())
    assert CANARY.encode() not in written


def test_a_machine_outside_the_scope_or_half_a_wish_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clinic.toml").write_text(_SCOPE)
    path = tmp_path / "orthanc.json"
    path.write_text(json.dumps(_ORTHANC))
    where = ["survey", "config", str(path), "--scope", str(tmp_path / "clinic.toml")]
    assert run(where, App) != 0
    assert run([*where, "--asset", "198.51.100.1"], App) != 0
    assert "outside of the scope" in capsys.readouterr().err
    assert run([*where, "--asset", "192.0.2.10", "--vantage", "internet"], App) != 0
