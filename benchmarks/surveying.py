"""A survey of many imported targets beside nmap's ``dicom-ping``: the same responders, in the same run.

    python -m benchmarks.surveying                  both speeds, medians of three: ten minutes
    python -m benchmarks.surveying --quick          does it run at all

Rule: a figure counts only where everybody that speaks DICOM was found, and nobody else. Needs nmap (Debian:
``apt-get install nmap``); nothing but the loopback is contacted. Some 300 hosts of 127.66.0.0/16 answer at one port,
spread over the targets: archives, web servers, servers that echo, and some that never say a word; at the others the
port is closed.

Ways: Leadglass with the question that nmap's script asks (an association, nothing else), Leadglass with all of its
level 1, as ``leadglass survey import`` makes it, and nmap. *Polite* is one connection at a time to a host and the
same highest rate; *unleashed* is the fastest each was found to do.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from leadglass.survey import running
from leadglass.survey.checks import dicom_answers
from leadglass.survey.scope import load, today
from leadglass.survey.state import JOURNAL, State, folder_of
from leadglass.survey.targets import Import
from tests.peers.crowd import NETWORK, Crowd, crowd

RESULTS: Final = Path(__file__).resolve().parent / "results"
PORT: Final = 11112
"""One of those that nmap's script looks at."""

RESPONDERS: Final = {"dicom": 240, "web": 30, "echo": 20, "silent": 10}

_SCOPE: Final = """[survey]
owner = "the benchmark"
contact = "whoever runs it"
authorised_by = "whoever runs it"
valid_from = {first}
valid_until = {last}
level = 1
[scope]
networks = ["{network}"]
ports = [{port}]
[rate]
connections_per_second = {rate}
seconds_between = {between}
hosts_at_once = {at_once}
"""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast all of them may be.

    Parameters
    ----------
    name : str
        What it is called.
    targets : int
        How many.
    rate, between, at_once
        Of the scope.
    nmap : tuple of str
        What nmap is told.
    """

    name: str
    targets: int
    rate: float
    between: float
    at_once: int
    nmap: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Took:
    """What one run took.

    Parameters
    ----------
    seconds, cpu : float
        Of the whole command, its start counted.
    peak : float
        MiB of memory at most.
    busiest : int
        Connections in its busiest second; 0 where nobody kept that.
    """

    seconds: float
    cpu: float
    peak: float
    busiest: int = 0


def _run(command: Sequence[str | Path]) -> Took:
    began = time.perf_counter()
    process = subprocess.Popen([str(each) for each in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {process.returncode}: {said.decode(errors='replace')[-500:]}")
    return Took(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _leadglass(folder: Path, speed: Speed, there: Crowd, *, whole: bool) -> Took:
    folder = folder / "leadglass"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    scope, listed = folder / "scope.toml", folder / "list"
    scope.write_text(
        _SCOPE.format(
            first=today() - timedelta(days=1),
            last=today() + timedelta(days=1),
            network=NETWORK,
            port=PORT,
            rate=speed.rate,
            between=speed.between,
            at_once=speed.at_once,
        )
    )
    with listed.open("w") as file:
        file.write("#masscan\n")
        file.writelines(f"open tcp {PORT} {NETWORK[number]} 1\n" for number in range(speed.targets))
    if whole:
        took = _run([Path(sys.executable).with_name("leadglass"), "survey", "import", scope, listed])
    else:
        took = _run([sys.executable, "-m", "benchmarks.surveying", "--ask", scope, listed])
    with closing(State(folder_of(scope))) as state:
        run = state.runs()[0]
        found = {str(each.address) for each in state.findings(run.id) if each.check == dicom_answers.CHECK.id}
        assert (run.done, run.targets) == (speed.targets, speed.targets)
    _same(found, there)
    return Took(took.seconds, took.cpu, took.peak, _busiest(folder_of(scope) / JOURNAL))


def _nmap(folder: Path, speed: Speed, there: Crowd) -> Took:
    listed, out = folder / "hosts", folder / "nmap.xml"
    listed.write_text("".join(f"{NETWORK[number]}\n" for number in range(speed.targets)))
    command = ["nmap", "-n", "-Pn", "-p", str(PORT), "--open", "--script", "dicom-ping"]
    took = _run([*command, *speed.nmap, "-oX", out, "-iL", listed])
    hosts = re.findall(r'<address addr="([^"]+)".*?</host>', out.read_text(), re.DOTALL)
    said = re.findall(r"<host .*?</host>", out.read_text(), re.DOTALL)
    found = {host for host, text in zip(hosts, said, strict=True) if "DICOM Service Provider discovered" in text}
    _same(found, there)
    return took


def _same(found: set[str], there: Crowd) -> None:
    wanted = {str(each) for each in there.hosts["dicom"]}
    if found != wanted:
        raise SystemExit(f"{len(wanted - found)} were not found, {len(found - wanted)} were found falsely.")


def _busiest(journal: Path) -> int:
    """Count the connections of the busiest second."""
    newest: deque[float] = deque()
    most = 0
    with journal.open() as lines:
        for line in lines:
            act = json.loads(line)
            if not act["act"].startswith("connect"):
                continue
            at = datetime.fromisoformat(act["time"]).timestamp()
            newest.append(at)
            while newest[0] <= at - 1:
                newest.popleft()
            most = max(most, len(newest))
    return most


def _ask(scope_file: Path, listed: Path) -> None:
    """Ask every target for an association, and nothing else, as ``survey import`` would."""
    allowed = load(scope_file)
    allowed.require_in_force(today())
    with closing(State(folder_of(scope_file), writes=True)) as state:
        run = state.begin(allowed, "targets", 0)
        state.give(run.id, Import(listed, allowed).targets())
        running.survey(allowed, state, state.run(run.id), state.given(run.id), [dicom_answers.CHECK])


def _measure(speed: Speed, repeats: int) -> list[dict[str, str | float]]:
    taken: dict[str, list[Took]] = {}
    with TemporaryDirectory() as name, crowd(PORT, speed.targets, **RESPONDERS) as there:
        folder = Path(name)
        for number in range(repeats):
            ways = {
                "Leadglass, one question": lambda: _leadglass(folder, speed, there, whole=False),
                "Leadglass, level 1": lambda: _leadglass(folder, speed, there, whole=True),
                "nmap dicom-ping": lambda: _nmap(folder, speed, there),
            }
            if number:
                del ways["Leadglass, level 1"]  # it is measured once: the comparison is between the other two
            for way in ways if number % 2 == 0 else reversed(list(ways)):
                taken.setdefault(way, []).append(ways[way]())
                print(f"{speed.name:10} {way:25} {taken[way][-1].seconds:6.1f} s", flush=True)
    theirs = taken["nmap dicom-ping"]
    rows: list[dict[str, str | float]] = []
    for way in sorted(taken):
        mine = taken[way]
        rows.append(
            {
                "speed": speed.name,
                "who": way,
                "targets": speed.targets,
                "s": round(median(each.seconds for each in mine), 1),
                "targets/s": round(median(speed.targets / each.seconds for each in mine)),
                "times nmap's": round(
                    median(other.seconds / each.seconds for each, other in zip(mine, theirs, strict=False)), 2
                ),
                "CPU s": round(median(each.cpu for each in mine), 1),
                "peak MiB": round(max(each.peak for each in mine)),
                "busiest second": max(each.busiest for each in mine) or "",
            }
        )
    return rows


def main() -> None:
    """Measure, print, and write ``results/surveying.md`` and ``.json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ask", nargs=2, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.ask:
        _ask(*asked.ask)
        return
    if shutil.which("nmap") is None:
        raise SystemExit("nmap is not installed. On Debian: apt-get install nmap")
    polite, unleashed = (1_000, 4_096) if asked.quick else (8_000, 65_536)
    speeds = (
        Speed(
            "polite",
            polite,
            500,
            1.0,
            128,
            ("-sT", "-T4", "--max-rate", "500", "--max-parallelism", "128", "--min-hostgroup", str(polite)),
        ),
        Speed(
            "unleashed",
            unleashed,
            10_000,
            0.0,
            1_024,
            ("-sT", "-T5", "--min-rate", "10000", "--min-parallelism", "500", "--min-hostgroup", str(unleashed)),
        ),
    )
    rows = [row for speed in speeds for row in _measure(speed, 1 if asked.quick else asked.repeats)]
    head = list(rows[0])
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'--:|' * (len(head) - 2)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row.values())} |" for row in rows]
    print("\n".join(lines))
    if not asked.quick:
        RESULTS.mkdir(exist_ok=True)
        said = {"day": datetime.now(UTC).date().isoformat(), "responders": RESPONDERS, "rows": rows}
        (RESULTS / "surveying.json").write_text(json.dumps(said, indent=1) + "\n")
        (RESULTS / "surveying.md").write_text("\n".join(lines) + "\n")


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:,}"


if __name__ == "__main__":
    main()
