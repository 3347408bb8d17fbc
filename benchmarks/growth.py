"""How cost grows: storing, finding, fetching and starting with ever more instances in the index.

Rule: the same archive grows from one size to the next; at each size the same
things are done to it over the plaintext lane by stock clients, and by its own
command line. Objects of what was filed in bulk are left out (``made_up``).

    python -m benchmarks.growth                         1,000 to 100,000
    python -m benchmarks.growth --up-to 1000000         as far as the README's figures go
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import plot, queries
from benchmarks.dimse import RESULTS
from benchmarks.images import make
from benchmarks.made_up import PER_STUDY, file_in_bulk, parts_of, record_in_bulk
from tests.peers.dcmtk import Dcmtk
from tests.peers.leadglass import Doors, Leadglass

SIZES = (1_000, 10_000, 100_000, 1_000_000)
STORED, SIDE = 500, 76
FOUND = 200


@dataclass(slots=True)
class Cost:
    """What one thing costs at each size, in milliseconds of wall time and of the server's CPU time."""

    name: str
    wall: dict[int, float] = field(default_factory=dict[int, float])
    cpu: dict[int, float] = field(default_factory=dict[int, float])


def cpu_of(pid: int) -> float:
    """Give the CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Growth:
    """One archive on its way from small to large."""

    def __init__(self, folder: Path, repeats: int) -> None:
        self.folder = folder
        self.repeats = repeats
        self.dcmtk = Dcmtk()
        self.lead = Leadglass(folder)
        self.lead.do("init")
        self.lead.device("BENCH", plaintext=True, bulk="measuring")
        self.costs: dict[str, Cost] = {}
        self.filed = 0

    def grow(self, size: int) -> float:
        """File studies until there are ``size`` instances, and as many audit records; gives the seconds it took."""
        start = time.perf_counter()
        with parts_of(self.lead.data) as parts:
            file_in_bulk(parts.vault, self.filed // PER_STUDY, size // PER_STUDY)
            record_in_bulk(parts.audit, size)
        self.filed = size
        return time.perf_counter() - start

    def measure(self, size: int) -> None:
        """Do everything once or several times, and note the medians."""
        self.start(size)
        with self.lead.serve() as doors:
            address = ("-aet", "BENCH", "-aec", "LEADGLASS", "127.0.0.1", str(doors.plain[1]))
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            for kind in ("Patient ID", "one day", "name prefix"):
                asked = queries.write(folder / kind, kind, FOUND, size // PER_STUDY)
                find = ("findscu", "-S", *address, *asked)
                self._note(f"C-FIND, {kind}", size, FOUND, doors, [find] * self.repeats)
            loads = [
                make(folder / f"load{number}", "12 kB", count=STORED, side=SIDE, studies=5)
                for number in range(self.repeats)
            ]
            stores = [("storescu", "+sd", *address, load.folder) for load in loads]
            self._note("C-STORE, 12 kB", size, STORED, doors, stores)
            out = folder / "out"
            out.mkdir()
            keys = (
                "-S",
                "+B",
                "-od",
                out,
                "-k",
                "QueryRetrieveLevel=STUDY",
                "-k",
                f"StudyInstanceUID={loads[0].studies[0]}",
            )
            self._note("C-GET, 12 kB", size, STORED // 5, doors, [("getscu", *keys, *address)] * self.repeats)
        shutil.rmtree(folder)

    def start(self, size: int) -> None:
        """Note how long a server takes from nothing to ready, and a command that looks something up."""
        acts = {"start to ready": self._serve, "leadglass device list": self._list}
        for name, act in acts.items():
            took = [act() for _ in range(max(3, self.repeats))]
            self._cost(name).wall[size] = statistics.median(wall for wall, _ in took) * 1000
            self._cost(name).cpu[size] = statistics.median(cpu for _, cpu in took) * 1000
            self._say(name, size)

    def _serve(self) -> tuple[float, float]:
        begin = time.perf_counter()
        with self.lead.serve() as doors:
            return time.perf_counter() - begin, cpu_of(doors.pid)

    def _list(self) -> tuple[float, float]:
        begin, used = time.perf_counter(), os.times()
        self.lead.do("device", "list")
        now = os.times()
        spent = now.children_user + now.children_system - used.children_user - used.children_system
        return time.perf_counter() - begin, spent

    def _note(self, name: str, size: int, count: int, doors: Doors, commands: Sequence[tuple[str | Path, ...]]) -> None:
        wall: list[float] = []
        cpu: list[float] = []
        for tool, *arguments in commands:
            begin, used = time.perf_counter(), cpu_of(doors.pid)
            done = self.dcmtk(str(tool), *arguments, timeout=1800)
            if done.code != 0:
                raise RuntimeError(f"{tool}: {done.said[-2000:]}")
            wall.append((time.perf_counter() - begin) / count * 1000)
            cpu.append((cpu_of(doors.pid) - used) / count * 1000)
        self._cost(name).wall[size] = statistics.median(wall)
        self._cost(name).cpu[size] = statistics.median(cpu)
        self._say(name, size)

    def _cost(self, name: str) -> Cost:
        return self.costs.setdefault(name, Cost(name))

    def _say(self, name: str, size: int) -> None:
        cost = self.costs[name]
        print(
            f"{size:>9,}  {name:24} {cost.wall[size]:9.2f} ms  {cost.cpu.get(size, 0):7.2f} ms CPU",
            file=sys.stderr,
            flush=True,
        )


def markdown(costs: list[Cost], sizes: list[int], machine: str) -> str:
    """Give the tables: wall time and the server's CPU time, each with its growth from the first size to the last."""
    lines = [machine, ""]
    for title, which in (("Wall time", "wall"), ("CPU time of the server, or of the command", "cpu")):
        lines += [
            f"### {title}, ms each",
            "",
            "| instances in the index | " + " | ".join(f"{size:,}" for size in sizes) + " | last ÷ first |",
        ]
        lines.append("|---|" + "--:|" * (len(sizes) + 1))
        for cost in costs:
            values: dict[int, float] = getattr(cost, which)
            if not values:
                continue
            told = " | ".join(f"{values[size]:.2f}" for size in sizes)
            ratio = f"{values[sizes[-1]] / values[sizes[0]]:.2f}" if values[sizes[0]] else "-"
            lines.append(f"| {cost.name} | {told} | {ratio} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Grow, measure, and write ``results/growth.{json,md,svg}``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--up-to", type=int, default=100_000, help="instances at the end (100000)")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions, of which the median counts (5)")
    parser.add_argument("--keep", type=Path, help="grow here, and leave it for a look")
    asked = parser.parse_args()
    sizes = [size for size in SIZES if size <= asked.up_to]
    with tempfile.TemporaryDirectory(prefix="leadglass-growth-", ignore_cleanup_errors=True) as name:
        folder = asked.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        growth = Growth(folder, asked.repeats)
        for size in sizes:
            print(f"{size:>9,}  filed in {growth.grow(size):.0f} s", file=sys.stderr, flush=True)
            growth.measure(size)
        octets = (growth.lead.data / "index.db").stat().st_size
    costs = list(growth.costs.values())
    machine = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, loopback, medians of {asked.repeats}; "
        f"the index has {octets / 1e6:,.0f} MB at the end"
    )
    text = markdown(costs, sizes, machine)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "growth.md").write_text(text)
    listed = [{"what": cost.name, "wall_ms": cost.wall, "cpu_ms": cost.cpu} for cost in costs]
    (RESULTS / "growth.json").write_text(json.dumps({"machine": machine, "sizes": sizes, "costs": listed}, indent=1))
    lines = {cost.name: [cost.wall[size] for size in sizes] for cost in costs}
    (RESULTS / "growth.svg").write_text(plot.log_log(lines, sizes, x="instances in the index", y="ms"))
    print(text)


if __name__ == "__main__":
    main()
