"""Ground truth against result: what each stranger is known to be, and what a survey of it says."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import cast

import pytest

from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.speech import dicom
from leadglass.wire.messages import CEchoRq, CFindRq
from leadglass.wire.pdu import AssociateAccept, AssociateRequest, PDUType, decode, encode
from tests.peers.running import Ran, run
from tests.survey.loopback import write_scope
from tests.survey.surroundings import Surroundings, listening

SEVERITIES = ("info", "low", "medium", "high", "critical")

KNOWN_TO_STRANGERS = {
    "orthanc-open": "E3",
    "orthanc-restricted": "E1",
    "orthanc-authentication": "E2",  # its passwords are those of its web pages; DICOM knows none
    "dcmqrscp-open": "E1",  # open to every caller that knows its title
    "dcmqrscp-restricted": "E1",
    "pynetdicom": "E3",
    "pynetdicom-careless": "E5",
    "tls": "E2",
    "mutual-tls": "E1",
    "echo": "E0",
    "http": "E0",
    "honeypot": "E3",
    "leadglass-tls": "E1",
    "leadglass-plain": "E1",
}
"""At level 2: what somebody gets who knows nothing."""

KNOWN_TO_WHO_READS_MANUALS = {
    "orthanc-restricted": "E2",
    "dcmqrscp-open": "E3",
    "dcmqrscp-restricted": "E1",
}
"""At level 3: what somebody gets who tries the AE titles that are printed in manuals."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a run came to.

    Parameters
    ----------
    ran : Ran
        The command.
    folder : Path
        Where all that it wrote lies.
    findings : list
        What it found.
    """

    ran: Ran
    folder: Path
    findings: "list[dict[str, object]]"

    def of(self, port: int) -> dict[str, dict[str, object]]:
        """Give what was found at a port, by check."""
        return {str(each["check"]): each for each in self.findings if each["port"] == port}

    def rung(self, port: int) -> str:
        """Give how far up the ladder DICOM goes at a port; what follows from a version alone does not count."""
        said = [str(f["exposure"]) for f in self.of(port).values() if str(f["check"]).startswith("dicom-")]
        return max(said, default="E0")


def survey(folder: Path, ports: Iterable[int], level: int) -> Surveyed:
    """Survey ports of the loopback with the command that operators use."""
    folder.mkdir(exist_ok=True)
    path = write_scope(folder / "loopback.toml", ports, level)
    ran = run([sys.executable, "-m", "leadglass", "survey", "run", path, "--json"], timeout=300)
    assert ran.code == 0, ran.said
    return Surveyed(ran, folder, cast("list[dict[str, object]]", json.loads(ran.out)["findings"]))


@pytest.fixture(scope="module")
def surveyed(around: Surroundings, tmp_path_factory: pytest.TempPathFactory) -> Surveyed:
    """Survey everybody at level 2."""
    return survey(tmp_path_factory.mktemp("surveyed"), around.ports.values(), 2)


@pytest.fixture(scope="module")
def opted_in(around: Surroundings, tmp_path_factory: pytest.TempPathFactory) -> Surveyed:
    """Survey those at level 3 to whom it makes a difference."""
    ports = [around.ports[name] for name in KNOWN_TO_WHO_READS_MANUALS]
    return survey(tmp_path_factory.mktemp("opted-in"), ports, 3)


def test_every_stranger_is_found_as_far_up_the_ladder_as_it_is(around: Surroundings, surveyed: Surveyed) -> None:
    found = {name: surveyed.rung(port) for name, port in around.ports.items()}
    assert found == KNOWN_TO_STRANGERS


def test_nothing_of_other_checks_goes_further_than_the_truth(around: Surroundings, surveyed: Surveyed) -> None:
    for each in surveyed.findings:
        name = around.name_of(cast("int", each["port"]))
        assert str(each["exposure"]) <= max(KNOWN_TO_STRANGERS[name], "E1"), (name, each)


def test_who_tries_the_titles_of_manuals_gets_further(around: Surroundings, opted_in: Surveyed) -> None:
    found = {name: opted_in.rung(around.ports[name]) for name in KNOWN_TO_WHO_READS_MANUALS}
    assert found == KNOWN_TO_WHO_READS_MANUALS
    assert "dicom-titles" in opted_in.of(around.ports["dcmqrscp-open"])


def test_studies_are_counted_where_queries_are_answered_and_nobody_is_told_more(
    around: Surroundings, opted_in: Surveyed
) -> None:
    counted = opted_in.of(around.ports["dcmqrscp-open"])["volume-dicom"]
    assert counted["exposure"] == "E5"
    assert counted["proof"] == {"studies": "1-9", "images": "not told"}, "DCMTK gives no numbers of images"
    assert not any("volume-dicom" in opted_in.of(around.ports[name]) for name in ("orthanc-restricted", "tls"))


def test_why_strangers_are_turned_away_is_told_apart(around: Surroundings, surveyed: Surveyed) -> None:
    def titles(name: str) -> object:
        return cast("dict[str, object]", surveyed.of(around.ports[name])["dicom-answers"]["proof"])["titles"]

    assert titles("dcmqrscp-open") == "the called AE title is checked"
    assert titles("orthanc-restricted") == "the called AE title is checked"
    assert titles("pynetdicom") == "any called and any calling AE title is taken"


def test_each_service_that_is_granted_is_named(around: Surroundings, surveyed: Surveyed) -> None:
    proof = cast("dict[str, object]", surveyed.of(around.ports["honeypot"])["dicom-services"]["proof"])
    assert proof["services"] == len(dicom.SERVICES)
    proof = cast("dict[str, object]", surveyed.of(around.ports["pynetdicom"])["dicom-services"]["proof"])
    assert proof["granted"] == "StudyRootQueryRetrieveInformationModelFind"
    assert "dicom-services" not in surveyed.of(around.ports["leadglass-plain"])


def test_who_refuses_a_query_by_an_abort_is_still_asked_the_rest(around: Surroundings, surveyed: Surveyed) -> None:
    """Orthanc as Debian ships it grants everybody queries, and aborts when one comes from whom it does not know."""
    found = surveyed.of(around.ports["orthanc-authentication"])
    assert "dicom-query" not in found
    assert "dicom-identity" in found


def test_a_trap_is_known_by_its_signs_and_an_archive_has_none(around: Surroundings, surveyed: Surveyed) -> None:
    trapped = {name for name, port in around.ports.items() if "dicom-honeypot" in surveyed.of(port)}
    assert trapped == {"honeypot"}


def test_known_flaws_follow_from_the_version_and_say_so(around: Surroundings, surveyed: Surveyed) -> None:
    found = surveyed.of(around.ports["orthanc-open"])["dicom-version"]
    assert found["inferred"] is True
    assert "CVE-2026-50254" in str(found["proof"])
    assert not surveyed.of(around.ports["leadglass-plain"]).get("dicom-version")


def test_tls_that_asks_for_no_certificate_is_told_from_one_that_does(around: Surroundings, surveyed: Surveyed) -> None:
    open_, mutual = (surveyed.of(around.ports[name])["dicom-tls"] for name in ("tls", "mutual-tls"))
    assert cast("dict[str, str]", mutual["proof"])["client_certificate"] == "needed"
    assert cast("dict[str, str]", open_["proof"])["client_certificate"] != "needed"
    assert mutual["exposure"] == "E1"
    assert "dicom-clear" in surveyed.of(around.ports["tls"])  # other ports of the host speak in the clear


def test_leadglass_under_its_own_survey_is_nothing_above_low(around: Surroundings, surveyed: Surveyed) -> None:
    for name in ("leadglass-tls", "leadglass-plain"):
        for each in surveyed.of(around.ports[name]).values():
            assert each["exposure"] in {"E0", "E1"}
            assert SEVERITIES.index(str(each["severity"])) <= SEVERITIES.index("low")
    proof = cast("dict[str, str]", surveyed.of(around.ports["leadglass-tls"])["dicom-tls"]["proof"])
    assert (proof["client_certificate"], proof["old_versions"], proof["weak_suites"]) == ("needed", "no", "no")


def test_every_finding_says_how_to_fix_it_and_what_asks_for_it(surveyed: Surveyed) -> None:
    assert surveyed.findings
    for each in surveyed.findings:
        assert each["fixes"], each
        assert each["controls"], each


def test_nothing_of_a_patient_is_in_anything_that_was_written(
    around: Surroundings, surveyed: Surveyed, opted_in: Surveyed
) -> None:
    for made in (surveyed, opted_in):
        said = [made.ran.out.encode(), made.ran.err.encode()]
        files = [path for path in made.folder.rglob("*") if path.is_file()]
        assert {path.name for path in files} >= {"journal.jsonl", "survey.db"}
        said += [path.read_bytes() for path in files] + [str(path).encode() for path in files]
        for mark in around.canary.marks:
            assert not any(mark in each for each in said)


def test_every_association_was_released(around: Surroundings, surveyed: Surveyed) -> None:
    assert surveyed.findings
    associations = len(around.honeypot.requested)
    assert associations >= 4  # answers, services, query, identity
    around.honeypot.wait(lambda: len(around.honeypot.ends) == associations)
    assert set(around.honeypot.ends) == {"released"}


def test_who_asks_says_who_it_is_and_gives_titles_that_nobody_has(around: Surroundings, surveyed: Surveyed) -> None:
    assert surveyed.findings
    requests = [request for _, request in around.honeypot.requested]
    assert {each.implementation_version_name for each in requests} == {dicom.IMPLEMENTATION_VERSION_NAME}
    assert all(re.fullmatch(r"X[0-9A-F]{14}", each.calling_ae_title) for each in requests)
    assert len({each.calling_ae_title for each in requests}) == len(requests)


def test_a_trap_was_asked_for_nothing_but_what_the_checks_say(around: Surroundings, surveyed: Surveyed) -> None:
    assert surveyed.findings
    asked = [type(message.command) for message in around.honeypot.messages]
    assert set(asked) <= {CEchoRq, CFindRq}
    assert asked.count(CFindRq) == 1
    assert all(each.sends for each in CHECKS)


# --- the kill switch ---------------------------------------------------------


def _exactly(line: socket.socket, count: int) -> bytes:
    taken = b""
    while len(taken) < count:
        part = line.recv(count - len(taken))
        if not part:
            raise EOFError
        taken += part
    return taken


def _interrupt(process: "subprocess.Popen[bytes]", _: Path) -> None:
    process.send_signal(signal.SIGINT)


def _terminate(process: "subprocess.Popen[bytes]", _: Path) -> None:
    process.send_signal(signal.SIGTERM)


def _touch(_: "subprocess.Popen[bytes]", folder: Path) -> None:
    (folder / "loopback.survey" / "STOP").touch()


@pytest.mark.parametrize("stop", [_interrupt, _terminate, _touch])
def test_what_stops_a_run_stops_it_at_once_and_says_goodbye(
    tmp_path: Path, stop: "Callable[[subprocess.Popen[bytes], Path], None]"
) -> None:
    """It hangs in a query that is never answered; the peer sees the abort, and the run can go on later."""
    asked, parted = Event(), Event()
    last: list[int] = []

    def serve(line: socket.socket) -> None:
        while True:
            try:
                head = _exactly(line, 6)
            except EOFError:
                if asked.is_set():
                    parted.set()
                return
            body = _exactly(line, int.from_bytes(head[2:], "big"))
            last.append(head[0])
            match head[0]:
                case PDUType.ASSOCIATE_RQ:
                    request = decode(head[0], memoryview(body))
                    assert isinstance(request, AssociateRequest)
                    line.sendall(
                        encode(
                            AssociateAccept(
                                called_ae_title=request.called_ae_title,
                                calling_ae_title=request.calling_ae_title,
                                contexts={each.id: each.transfer_syntaxes[0] for each in request.contexts},
                                implementation_class_uid="1.2.3",
                            )
                        )
                    )
                case PDUType.RELEASE_RQ:
                    line.sendall(bytes((6, 0, 0, 0, 0, 4, 0, 0, 0, 0)))
                case PDUType.P_DATA_TF:
                    asked.set()
                case _:
                    pass

    with listening(serve) as port:
        path = write_scope(tmp_path / "loopback.toml", [port])
        command = [sys.executable, "-m", "leadglass", "survey", "run", str(path), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                assert asked.wait(60)
                stop(process, tmp_path)
                # It would wait for ten seconds for the answer; a stop is a second, and a busy machine has some more.
                out, err = process.communicate(timeout=8)
            finally:
                process.kill()
        assert process.returncode == 3, (out, err)
        assert parted.wait(30)
        assert last[-1] == PDUType.ABORT
        assert json.loads(out)["run"]["status"] == "stopped"
