"""What the survey promises, proved on a town of strangers: the ladder, no patient's data, and politeness by packet.

One survey at level 3 looks at everybody, while every packet of it is captured, every file that it writes is looked
at, and its memory is kept for afterwards. With ``LEADGLASS_LONG=1`` the others look at everybody at levels 1 and 2.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from ipaddress import IPv4Address, ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import cast

import pytest

from leadglass.survey.findings import Severity
from leadglass.wire.pdu import PDUType
from tests.peers.dcmtk import Dcmtk
from tests.peers.running import run
from tests.survey.canaries import ROOT
from tests.survey.capture import Capture, capturing
from tests.survey.town import EXCLUDED, NETWORK, OUTSIDE, Town, town
from tests.survey.traces import Stayed, Written, forms_of, found_in, in_memory, staying, watching_files

PER_SECOND, BETWEEN = 60, 0.02
"""Connections of all in a second, and seconds between two to one host."""

CLOCKS = 0.001
"""Seconds by which the kernel's clock of packets and that of the survey may differ in one second."""

FTP = 21
OPTIONAL = ("anonymous FTP", "guest SMB", "NFS", "rsync", "pynetdicom qrscp")
"""Strangers that not every machine can have; without the others there is no table."""

LONG = bool(os.environ.get("LEADGLASS_LONG"))

Found = Mapping[str, object]


def scope_file(folder: Path, level: int) -> Path:
    """Write the scope of the town."""
    folder.mkdir(parents=True)
    day = date.today()  # noqa: DTZ011 - the scope's days are the machine's
    path = folder / "town.toml"
    path.write_text(
        f'[survey]\nowner = "a test"\ncontact = "nobody"\nauthorised_by = "the test"\nlevel = {level}\n'
        f"valid_from = {day - timedelta(days=1)}\nvalid_until = {day + timedelta(days=2)}\n"
        f'[scope]\nnetworks = ["{NETWORK}"]\nexclude = ["{EXCLUDED}"]\n'
        f"[rate]\nconnections_per_second = {PER_SECOND}\nseconds_between = {BETWEEN}\nhosts_at_once = 32\n"
    )
    return path


def targets_file(folder: Path, endpoints: Iterable[tuple[str, int]]) -> Path:
    """Write a list of endpoints, with some that are not to be looked at."""
    path = folder / "targets.csv"
    path.write_text("address,port\n" + "".join(f"{address},{port}\n" for address, port in endpoints))
    return path


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One survey of the town.

    Parameters
    ----------
    scope : Path
        Its scope file; all that it keeps is beside it.
    findings : sequence of Found
        What it found.
    capture : Capture
        Every packet of it.
    """

    scope: Path
    findings: Sequence[Found]
    capture: Capture

    def at(self, address: str, port: int) -> list[Found]:
        """Give what was found at an endpoint."""
        return [each for each in self.findings if (each["address"], each["port"]) == (address, port)]

    def rung(self, address: str, port: int) -> str:
        """Give how far up the ladder an endpoint goes."""
        return max((str(each["exposure"]) for each in self.at(address, port)), default="E0")


@dataclass(frozen=True, slots=True)
class Promises:
    """The town and its surveys.

    Parameters
    ----------
    town : Town
        Still up.
    levels : mapping of int to Surveyed
        By level.
    stayed : Stayed
        The process of level 3, whose memory is still there.
    written : Written
        What it wrote.
    planted : str
        What stands in its memory, so that it can be found.
    """

    town: Town
    levels: Mapping[int, Surveyed]
    stayed: Stayed
    written: Written
    planted: str

    @property
    def marks(self) -> tuple[str, ...]:
        """What nobody may ever read: the canary, and what its UIDs begin with."""
        return (self.town.canary.text, ROOT)


@pytest.fixture(scope="module")
def promises(tmp_path_factory: pytest.TempPathFactory) -> Generator[Promises]:
    """Survey the town, once."""
    folder = tmp_path_factory.mktemp("town")
    with town(folder, Dcmtk()) as here, ExitStack() as stack:
        if missing := [f"{name}: {why}" for name, why in here.absent.items() if name not in OPTIONAL]:
            pytest.skip("; ".join(missing))
        planted = f"PLANTED{token_hex(8)}"
        outsiders = [(EXCLUDED, 104), (OUTSIDE, 104), (OUTSIDE, 8042)]
        out = {level: folder.parent / f"{folder.name}-level-{level}" for level in (1, 2, 3)}
        written = stack.enter_context(watching_files([folder], (here.canary.text, ROOT)))

        def look(level: int) -> tuple[Surveyed, Stayed | None]:
            scope = scope_file(out[level], level)
            everybody = level == 3 or LONG
            own = [each for each in here.endpoints if everybody or each[0] == here.of("Leadglass itself")]
            targets = targets_file(out[level], (*own, *outsiders))
            watcher = here.watchers[level - 1]
            arguments: list[str | Path] = ["survey", "import", scope, targets, "--json"]
            with capturing(watcher, f"10.99.0.{250 + level}") as capture, watcher.inside():
                if level < 3:
                    ran = run([sys.executable, "-m", "leadglass", *arguments], timeout=300)
                    assert ran.code == 0, ran.said
                    return Surveyed(scope, _findings(ran.out), capture), None
                (out[level] / "tmp").mkdir()
                held = f"{here.canary.text},{ROOT},{planted}"[::-1]
                env = {"TMPDIR": str(out[level] / "tmp"), "HELD": held}
                stayed = stack.enter_context(staying(out[level] / "said", arguments, env=env, planted=planted))
            return Surveyed(scope, _findings(stayed.out.decode()), capture), stayed

        with ThreadPoolExecutor(3) as pool:
            looked = dict(zip((1, 2, 3), pool.map(look, (1, 2, 3)), strict=True))
        stayed = looked[3][1]
        assert stayed is not None
        yield Promises(here, {level: each for level, (each, _) in looked.items()}, stayed, written, planted)


def _findings(text: str) -> list[Found]:
    return cast("list[Found]", json.loads(text)["findings"])


# --- the ladder ---------------------------------------------------------------


def table(promises: Promises) -> str:
    """Give truth beside result, a line an endpoint."""
    lines = [f"{'stranger':58} {'port':>5}   truth     result    by"]
    for address, stranger in promises.town.strangers.items():
        for port, truth in stranger.truth.items():
            said = [each.rung(address, port) for each in promises.levels.values() if _looked(each, address)]
            by = ", ".join(str(each["check"]) for each in promises.levels[3].at(address, port))
            wrong = "  <--" if said != list(truth)[-len(said) :] else ""
            lines.append(f"{stranger.name:58} {port:>5}   {' '.join(truth)}  {' '.join(said):>8}  {by}{wrong}")
    lines += [f"{name:58} not here: {why}" for name, why in promises.town.absent.items()]
    return "\n".join(lines)


def _looked(surveyed: Surveyed, address: str) -> bool:
    return ip_address(address) in surveyed.capture.targets


def test_every_stranger_is_as_far_up_the_ladder_as_it_is(promises: Promises) -> None:
    made = table(promises)
    assert "<--" not in made, f"\n{made}"
    assert len(promises.town.endpoints) >= 20, f"\n{made}"


def test_no_single_finding_goes_further_than_the_truth(promises: Promises) -> None:
    for level, surveyed in promises.levels.items():
        for each in surveyed.findings:
            truth = promises.town.strangers[str(each["address"])].truth[cast("int", each["port"])]
            assert str(each["exposure"]) <= truth[level - 1], (each, f"\n{table(promises)}")


def test_default_credentials_are_critical_and_told_as_their_class(promises: Promises) -> None:
    seen = promises.levels[3]
    classes = {
        each["address"]: cast("Found", each["proof"])["class"]
        for each in seen.findings
        if each["check"] == "web-credentials"
    }
    image, portal = (
        promises.town.of("Orthanc, as the image orthanc/orthanc"),
        promises.town.of("portal that takes blank credentials"),
    )
    assert classes == {image: "vendor default", portal: "blank"}
    assert {each["severity"] for each in seen.findings if each["check"] == "web-credentials"} == {"critical"}


def test_only_the_honeypot_has_the_signs_of_one(promises: Promises) -> None:
    trapped = {each["address"] for each in promises.levels[3].findings if each["check"] == "dicom-honeypot"}
    assert trapped == {promises.town.of("honeypot after Dicompot")}


@pytest.mark.parametrize("level", [1, 2, 3])
def test_leadglass_under_its_own_survey_is_nothing_above_low(promises: Promises, level: int) -> None:
    """A demo with all of its doors open: DICOM over TLS, in the clear, and the web."""
    address = promises.town.of("Leadglass itself")
    surveyed = promises.levels[level]
    assert {each.port for each in surveyed.capture.connections if str(each.target) == address} >= {443, 2762, 11112}
    order = list(Severity)
    for each in (each for each in surveyed.findings if each["address"] == address):
        assert each["exposure"] in {"E0", "E1"}, each
        assert order.index(Severity(str(each["severity"]))) <= order.index(Severity.LOW), each


# --- politeness, by the packets alone ------------------------------------------


def test_nothing_leaves_the_scope(promises: Promises) -> None:
    """Not to who is excluded, not to who is outside, and nothing but TCP to whom it may speak to."""
    for surveyed in promises.levels.values():
        inside = {each for each in surveyed.capture.targets if each in ip_network(NETWORK)}
        assert surveyed.capture.targets == inside
        assert IPv4Address(EXCLUDED) not in inside
        assert surveyed.capture.datagrams() == []
        assert inside


def test_the_capture_sees_who_is_outside(promises: Promises) -> None:
    """If something were sent there, it would be seen."""
    watcher = promises.town.watchers[0]
    with capturing(watcher, "10.99.0.251") as capture, watcher.inside():
        script = (
            "import socket\nfor each in ('10.77.0.66', '10.99.0.1'): socket.create_connection((each, 104), 5).close()"
        )
        assert run([sys.executable, "-c", script], timeout=60).code == 0
    assert capture.targets == {IPv4Address(EXCLUDED), IPv4Address(OUTSIDE)}


def test_no_packet_was_lost_to_the_capture_and_the_journal_has_every_connection(promises: Promises) -> None:
    for surveyed in promises.levels.values():
        assert surveyed.capture.lost == 0
        journal = surveyed.scope.with_suffix(".survey") / "journal.jsonl"
        acts = [json.loads(line) for line in journal.read_text().splitlines()]
        said = Counter((act["to"], act["port"]) for act in acts if act["act"].startswith("connect"))
        assert said == Counter((str(each.target), each.port) for each in surveyed.capture.connections)


def test_in_no_second_are_more_connections_begun_than_the_scope_says(promises: Promises) -> None:
    begun = [each.began for each in promises.levels[3].capture.connections]
    assert len(begun) > 3 * PER_SECOND
    for first, one_too_many in zip(begun, begun[PER_SECOND:], strict=False):
        assert one_too_many - first >= 1 - CLOCKS


def test_one_connection_at_a_time_to_a_host_and_some_time_between_two(promises: Promises) -> None:
    looked = 0
    for surveyed in promises.levels.values():
        by_host: dict[IPv4Address, list[tuple[float, float]]] = {}
        for each in surveyed.capture.connections:
            assert each.ended is not None, each.target
            by_host.setdefault(each.target, []).append((each.began, each.ended))
        ftp = {each.target for each in surveyed.capture.connections if each.port == FTP}
        for host, spans in by_host.items():
            for (began, ended), (then, _) in pairwise(spans):
                looked += 1
                # FTP has a second connection for its data, beside the first; it waits for its turn all the same
                last = began if host in ftp else ended
                assert then - last >= BETWEEN - CLOCKS, (host, began, ended, then)
    assert looked > 100


def test_requests_on_one_line_are_as_far_apart_as_connections_are(promises: Promises) -> None:
    looked = 0
    for each in promises.levels[3].capture.connections:
        for one, other in pairwise(each.begins(b"GET ", b"POST ", b"OPTIONS ", b"PROPFIND ")):
            looked += 1
            assert other - one >= BETWEEN - CLOCKS, each.target
    assert looked > 50


def test_every_association_is_released_and_only_who_gives_records_unasked_is_aborted(promises: Promises) -> None:
    careless = IPv4Address(promises.town.of("an archive that does not heed what is asked"))
    made = [each for each in promises.levels[3].capture.connections if each.is_association]
    assert len(made) >= 20
    for each in made:
        last = each.pdus(own=True)[-1]
        if last == PDUType.ABORT:
            assert each.target == careless
        elif PDUType.ABORT in each.pdus(own=False):
            assert last != PDUType.ASSOCIATE_RQ  # Orthanc refuses a query by an abort: there is nothing to release
        else:
            assert last == PDUType.RELEASE_RQ, (each.target, each.pdus(own=True))
            assert each.pdus(own=False)[-1] == PDUType.RELEASE_RP
    assert any(each.target == careless and each.pdus(own=True)[-1] == PDUType.ABORT for each in made)


def test_every_association_in_tls_is_released_as_its_acceptor_says(promises: Promises) -> None:
    address = promises.town.of("TLS acceptor")
    number = list(promises.town.network.machines).index(address)
    log = (promises.town.folder / f"m{number}" / "received.log").read_text()
    assert log.count("Association Acknowledged") >= 3
    assert log.count("Association Release") == log.count("Association Acknowledged")


# --- no patient's data ----------------------------------------------------------


@pytest.fixture(scope="module")
def reported(promises: Promises, tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Path, Stayed]]:
    """Make every report there is, in one process, and keep its memory."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "tmp").mkdir()
    scope = promises.levels[3].scope
    owner = ["--owner", "Radiology IT"]
    commands: list[list[str | Path]] = [
        ["survey", "assign", scope, NETWORK, "--unit", "Radiology", *owner, "--contact", "tel. 4711"],
        *(["survey", "report", scope, "--format", form, "--out", folder / form] for form in REPORTS),
        ["survey", "report", scope, "--format", "json", "--out", "-"],
        ["survey", "letter", scope, *owner, "--out", folder / "letter"],
        ["survey", "told", scope, *owner],
        ["survey", "register", scope, "--all", "--json"],
        ["survey", "register", scope],
        ["survey", "status", scope],
        ["survey", "trend", scope],
    ]
    arguments = [part for command in commands for part in ("--then", *command)][1:]
    with staying(folder / "said", arguments, env={"TMPDIR": str(folder / "tmp")}, planted=promises.planted) as stayed:
        yield folder, stayed


REPORTS = ("html", "json", "csv", "sarif")


def test_nothing_of_a_patient_is_in_what_is_printed_kept_or_reported(
    promises: Promises, reported: tuple[Path, Stayed]
) -> None:
    folder, stayed = reported
    roots = (folder, *(each.scope.parent for each in promises.levels.values()))
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert names >= {"journal.jsonl", "survey.db", "letter", "out", "err", *REPORTS}
    for path in files:
        assert found_in(path.read_bytes() + str(path).encode(), promises.marks) == [], path
    for each in (stayed, promises.stayed):
        assert found_in(each.out + each.err, promises.marks) == []
    # and it does say what it found, so that it is not empty that is compared with the canary
    assert b"dicom-query" in (folder / "json").read_bytes()
    assert all((folder / form).stat().st_size > 1_000 for form in (*REPORTS, "letter"))


def test_nothing_of_a_patient_is_ever_written_to_any_file(promises: Promises, reported: tuple[Path, Stayed]) -> None:
    """Also not to one that is gone again: the kernel tells of each file as it is written."""
    _, stayed = reported
    beside = str(promises.levels[3].scope.with_suffix(".survey"))
    for process in (promises.stayed.process, stayed.process):
        assert promises.written.found.get(process, set()) == set()
        assert any(path.startswith(beside) and path.endswith("survey.db-wal") for path in promises.written.by[process])
    assert any(path.endswith("journal.jsonl") for path in promises.written.by[promises.stayed.process])
    kept = tuple(str(path) for path in (*(each.scope.parent for each in promises.levels.values()), reported[0]))
    strays = {
        path
        for process in (promises.stayed.process, stayed.process)
        for path in promises.written.by[process]
        if not path.startswith(kept)
    }
    assert {path for path in strays if "__pycache__" not in path} == set()


def test_nothing_of_a_patient_is_in_the_memory_of_who_makes_the_reports(
    promises: Promises, reported: tuple[Path, Stayed]
) -> None:
    assert in_memory(reported[1].process, (promises.planted,)), "what was planted is not found: nobody looked"
    assert in_memory(reported[1].process, promises.marks) == []


def test_nothing_in_the_survey_holds_on_to_what_a_peer_said(promises: Promises) -> None:
    """What is forgotten may lie in freed memory until the process ends; what is remembered would stay."""
    held = [each.split() for each in promises.stayed.held]
    assert [kind for place, kind in held if place == "2"], "what was planted is not found: nobody looked"
    assert [kind for place, kind in held if place != "2"] == []


def test_what_passes_through_the_memory_of_a_survey_goes_into_no_core_file(promises: Promises) -> None:
    """Bytes that peers sent lie in its freed memory until it ends, which it does when it has looked at the last."""
    limits = Path(f"/proc/{promises.stayed.process}/limits").read_text()
    (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_who_looks_for_a_text_finds_it_in_every_form() -> None:
    for form, raw in forms_of("KANARI12").items():
        assert found_in(b"before" + raw + b"after", ("KANARI12",)), form
    assert found_in(b"nothing of it", ("KANARI12",)) == []
