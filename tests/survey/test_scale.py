"""A survey of very many targets: cut off, stopped and gone on with, it comes to what it comes to undisturbed.

``LEADGLASS_LONG=1`` surveys all 65,536 addresses of a network, with those that never answer among them.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from leadglass.survey.state import JOURNAL, State, folder_of
from tests.peers.crowd import NETWORK, Crowd, crowd
from tests.peers.running import free_port, wait_until

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
PATIENCE: Final = 120.0
MIB: Final = 1024  # kB, which is what the system counts in


@dataclass(frozen=True, slots=True)
class Scale:
    """How large it is."""

    targets: int
    rate: int
    at_once: int
    numbers: Mapping[str, int]


SCALE: Final = (
    Scale(65_536, 4_000, 512, {"held": 1, "dicom": 260, "web": 20, "echo": 12, "silent": 6, "mute": 6})
    if LONG
    else Scale(2_000, 1_000, 64, {"held": 1, "dicom": 39})
)


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A scope file, its list of targets, and where both are looked at."""

    scope: Path
    listed: Path

    @contextmanager
    def started(self, *arguments: str | Path) -> Generator["subprocess.Popen[str]"]:
        """Start a command of ``leadglass survey``; it is over with the block."""
        command = [sys.executable, "-m", "leadglass", "survey", *arguments, "--json"]
        with subprocess.Popen(
            [str(each) for each in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def imported(self) -> Sequence[str | Path]:
        """The command that begins it."""
        return ("import", self.scope, self.listed)

    @property
    def resumed(self) -> Sequence[str | Path]:
        """The command that goes on."""
        return ("run", self.scope, "--resume")

    def connects(self) -> list[tuple[str, str, datetime]]:
        """Give to whom connections were opened, for which check, and when."""
        with (folder_of(self.scope) / JOURNAL).open() as lines:
            acts = [json.loads(line) for line in lines if line.endswith("\n")]
        return [
            (act["to"], act["check"], datetime.fromisoformat(act["time"]))
            for act in acts
            if act["act"].startswith("connect")
        ]

    def undone(self) -> set[str]:
        """Give the addresses that the newest run has not done yet."""
        with closing(State(folder_of(self.scope))) as state:
            run = state.runs()[0].id
            return {str(target.address) for target in state.left(run, state.given(run))}

    def came_to(self) -> dict[str, Any]:
        """Give what the newest run came to, but for when."""
        with closing(State(folder_of(self.scope))) as state:
            (run,) = state.runs()
            return {
                "counts": (run.status, run.targets, run.done, run.open),
                "findings": state.findings(run.id),
                "answered": state.answered(run.id),
                "untested": state.untested(run.id),
                "unproven": state.unproven(run.id),
            }


def _prepared(folder: Path, port: int) -> Surveyed:
    folder.mkdir()
    today = datetime.now(UTC).date()
    scope, listed = folder / "clinic.toml", folder / "list"
    scope.write_text(
        '[survey]\nowner = "a clinic"\ncontact = "its technician"\nauthorised_by = "its director"\nlevel = 1\n'
        f"valid_from = {today - timedelta(days=1)}\nvalid_until = {today + timedelta(days=1)}\n"
        f'[scope]\nnetworks = ["{NETWORK}"]\nports = [{port}]\n'
        f"[rate]\nconnections_per_second = {SCALE.rate}\nseconds_between = 0\nhosts_at_once = {SCALE.at_once}\n"
    )
    lines = (f"open tcp {port} {NETWORK[number]} 1700000000\n" for number in range(SCALE.targets))
    listed.write_text("#masscan\n" + "".join(lines))
    return Surveyed(scope, listed)


def _ended(process: "subprocess.Popen[str]") -> tuple[int, int]:
    """Give the exit code of a process, and the most memory that it was seen to have had (kB)."""
    status = Path(f"/proc/{process.pid}/status")
    peak = 0
    while process.poll() is None:
        with suppress(OSError):  # it has just ended
            highest = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
            peak = max(peak, *(int(line.split()[1]) for line in highest), 0)
        time.sleep(0.1)
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.returncode in {0, 3, -signal.SIGKILL}, said
    return process.returncode, peak


def _most_in_a_second(times: Sequence[datetime]) -> int:
    newest: deque[float] = deque()
    most = 0
    for at in sorted(moment.timestamp() for moment in times):
        newest.append(at)
        while newest[0] <= at - 0.995:  # what is written is cut off to milliseconds
            newest.popleft()
        most = max(most, len(newest))
    return most


def _disturbed(surveyed: Surveyed, there: Crowd) -> list[int]:
    """Begin it, kill it in the middle; go on, and stop that by Ctrl-C; go on to the end.

    Gives how many connections had been opened at each of those.
    """
    held = str(there.hosts["held"][0])
    before = there.calls()[held]
    with surveyed.started(*surveyed.imported) as process:
        wait_until(lambda: there.calls()[held] > before, "it has come to who makes it wait", seconds=PATIENCE)
        process.kill()
        assert _ended(process)[0] == -signal.SIGKILL
    undone, killed = surveyed.undone(), len(surveyed.connects())
    assert held in undone
    assert len(undone) < SCALE.targets

    with surveyed.started(*surveyed.resumed) as process:
        wait_until(lambda: there.calls()[held] > before + 1, "it has gone on", seconds=PATIENCE)
        process.send_signal(signal.SIGINT)
        assert _ended(process)[0] == 3
    assert {to for to, _, _ in surveyed.connects()[killed:]} <= undone
    undone, stopped = surveyed.undone(), len(surveyed.connects())

    there.go_on()
    with surveyed.started(*surveyed.resumed) as process:
        assert _ended(process)[0] == 0
    assert {to for to, _, _ in surveyed.connects()[stopped:]} == undone
    return [killed, stopped]


@pytest.mark.timeout(1_200 if LONG else 300)
def test_cut_off_and_stopped_it_comes_to_what_it_comes_to_undisturbed_in_bounds_of_rate_and_memory(
    tmp_path: Path,
) -> None:
    port = free_port()
    with crowd(port, SCALE.targets, **SCALE.numbers) as there:
        disturbed = _prepared(tmp_path / "disturbed", port)
        killed, stopped = _disturbed(disturbed, there)
        undisturbed = _prepared(tmp_path / "undisturbed", port)
        with undisturbed.started(*undisturbed.imported) as process:
            code, peak = _ended(process)
    assert code == 0
    assert peak < 160 * MIB
    came_to = undisturbed.came_to()
    assert came_to == disturbed.came_to()

    archives = {str(each) for kind in ("held", "dicom") for each in there.hosts[kind]}
    assert {str(each.address) for each in came_to["findings"] if each.check == "dicom-answers"} == archives
    assert came_to["counts"][1:3] == (SCALE.targets, SCALE.targets)
    opened = undisturbed.connects()
    first = Counter(to for to, check, _ in opened if check == "dicom-answers")
    assert len(first) == SCALE.targets
    assert {to for to, count in first.items() if count > 1} <= {
        str(each) for kind in ("web", "echo", "silent") for each in there.hosts.get(kind, ())
    }  # who answers something else is asked once more, in TLS
    again = disturbed.connects()
    for each in (opened, again[:killed], again[killed:stopped], again[stopped:]):
        assert _most_in_a_second([at for _, _, at in each]) <= SCALE.rate
