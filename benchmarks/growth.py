"""How cost grows: storing, finding, fetching and starting with ever more instances in the index.

Rule 1. Archives of every size are filled first and kept; each repetition then
does the same things to a copy of each, one size after the other, so that what
else the machine does meets all sizes alike. Growth is told as the median of the
repetitions' own ratios. Rule 2. What is stored falls among what is there: its
UIDs are such as the archive has. Objects of what was filed in bulk are left out
(``made_up``), and each archive has as many audit records as instances.

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
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory, gettempdir

from benchmarks import plot, queries
from benchmarks.dimse import RESULTS
from benchmarks.made_up import PER_STUDY, VERSION, file_in_bulk, part10, parts_of, record_in_bulk, study
from leadglass.dicom import tags
from leadglass.dicom.model import Attributes, JsonElement
from tests.peers.dcmtk import Dcmtk
from tests.peers.leadglass import Doors, Leadglass

SIZES = (1_000, 10_000, 100_000, 1_000_000)
STORED, SIDE = 300, 76
FOUND = 100
LIMIT = 1.2
"""What storing may cost at the last size, times what it costs at the first."""

_NEW = 10_000_000
"""Where the numbers of studies begin that are sent: far beyond those that were filed."""

CT = "1.2.840.10008.5.1.4.1.1.2"
"""CT Image Storage."""

_FILLED = "filled"
_FORM = 1
"""Of a kept archive, beside ``VERSION``."""

_STORING = "C-STORE, 12 kB"
_SCATTERED = "C-STORE, 12 kB, a study each"


@dataclass(slots=True)
class Cost:
    """What one thing costs at each size in each repetition: milliseconds of wall time, and of the server's CPU time."""

    name: str
    wall: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    cpu: dict[int, list[float]] = field(default_factory=dict[int, list[float]])

    def add(self, size: int, wall: float, cpu: float) -> None:
        """Note one repetition, in seconds."""
        self.wall.setdefault(size, []).append(wall * 1000)
        self.cpu.setdefault(size, []).append(cpu * 1000)


def growth(values: dict[int, list[float]]) -> float:
    """Give how many times the first size's cost the last size has: the median over repetitions."""
    sizes = sorted(values)
    pairs = zip(values[sizes[0]], values[sizes[-1]], strict=True)
    return statistics.median(last / first if first else 1.0 for first, last in pairs)


def cpu_of(pid: int) -> float:
    """Give the CPU seconds a process has used, all of its threads together."""
    ran = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        ran += int((task / "schedstat").read_text().split()[0])
    return ran / 1e9


# --- archives -----------------------------------------------------------------


def fill(cache: Path, sizes: Sequence[int]) -> None:
    """Make the archives that are not kept yet, each out of the one before it."""
    before: Path | None = None
    filed = 0
    for size in sizes:
        folder = kept(cache, size)
        if not (folder / _FILLED).exists():
            began = time.perf_counter()
            shutil.rmtree(folder, ignore_errors=True)
            lead = Leadglass(folder)
            if before is None:
                folder.mkdir(parents=True)
                lead.do("init")
                lead.device("BENCH", plaintext=True, bulk="measuring")
            else:
                shutil.copytree(before, folder, ignore=shutil.ignore_patterns(_FILLED))
            with parts_of(lead.data) as parts:
                file_in_bulk(parts.vault, filed // PER_STUDY, size // PER_STUDY)
                record_in_bulk(parts.audit, size)
            (folder / _FILLED).touch()
            print(f"{size:>9,}  filled in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        before, filed = folder, size


def kept(cache: Path, size: int) -> Path:
    """Give where the archive of a size is kept."""
    return cache / f"{size}-{VERSION}-{_FORM}"


def write_slices(folder: Path, seed: int, *, studies: int) -> str:
    """Write slices of 12 kB, in so many studies one after the other; gives the first study's UID."""
    random = Random(seed)
    first = _NEW + seed * STORED
    folder.mkdir()
    each = STORED // studies
    for number in range(STORED):
        one = study(first + number // each)
        pixels = random.randbytes(SIDE * SIDE * 2)
        own: Attributes = {
            tags.key(tags.SOPClassUID): JsonElement(vr="UI", Value=[CT]),
            tags.key(tags.SOPInstanceUID): JsonElement(vr="UI", Value=[f"{one.uid}.1.{number % each + 1}"]),
            tags.key(tags.InstanceNumber): JsonElement(vr="IS", Value=[number % each + 1]),
            tags.key(tags.SamplesPerPixel): JsonElement(vr="US", Value=[1]),
            tags.key(tags.Rows): JsonElement(vr="US", Value=[SIDE]),
            tags.key(tags.Columns): JsonElement(vr="US", Value=[SIDE]),
            tags.key(tags.BitsAllocated): JsonElement(vr="US", Value=[16]),
            tags.key(tags.PixelData): JsonElement(vr="OW", InlineBinary=b64encode(pixels).decode()),
        }
        attributes = dict(sorted((one.attributes(0) | own).items()))
        (folder / f"{number:05}.dcm").write_bytes(part10(attributes, CT))
    return study(first).uid


# --- measuring ----------------------------------------------------------------


class Growth:
    """Copies of the archives, what is done to them, and what it cost."""

    def __init__(self, folder: Path, cache: Path, sizes: Sequence[int]) -> None:
        self.folder = folder
        self.dcmtk = Dcmtk()
        self.leads = {size: Leadglass(folder / str(size)) for size in sizes}
        self.costs: dict[str, Cost] = {}
        for size in sizes:
            shutil.copytree(kept(cache, size), folder / str(size))

    def measure(self, repetition: int) -> None:
        """Do everything once to each of the archives."""
        sent = self.folder / f"sent{repetition}"
        sent.mkdir()
        first = write_slices(sent / "few", 2 * repetition, studies=3)
        write_slices(sent / "each", 2 * repetition + 1, studies=STORED)
        # Now from the small to the large, now the other way: whoever comes first finds colder caches.
        sizes = list(self.leads)[:: 1 if repetition % 2 else -1]
        for size in sizes:
            self._measure(size, repetition, sent, first)
        shutil.rmtree(sent)

    def _measure(self, size: int, repetition: int, sent: Path, study_uid: str) -> None:
        lead = self.leads[size]
        began, used = time.perf_counter(), os.times()
        lead.do("device", "list")
        now = os.times()
        spent = now.children_user + now.children_system - used.children_user - used.children_system
        self._note("leadglass device list", size, time.perf_counter() - began, spent)
        began = time.perf_counter()
        with lead.serve() as doors, TemporaryDirectory(dir=self.folder) as name:
            self._note("start to ready", size, time.perf_counter() - began, cpu_of(doors.pid))
            folder = Path(name)
            address = ("-aet", "BENCH", "-aec", "LEADGLASS", "127.0.0.1", str(doors.plain[1]))
            self._run(_STORING, size, STORED, doors, "storescu", "+sd", *address, sent / "few")
            self._run(_SCATTERED, size, STORED, doors, "storescu", "+sd", *address, sent / "each")
            for kind in ("Patient ID", "one day", "name prefix"):
                asked = queries.write(folder / kind, kind, FOUND, size // PER_STUDY, start=repetition * FOUND)
                self._run(f"C-FIND, {kind}", size, FOUND, doors, "findscu", "-S", *address, *asked)
            keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_uid}")
            out = folder / "out"
            out.mkdir()
            self._run("C-GET, 12 kB", size, STORED // 3, doors, "getscu", "-S", "+B", "-od", out, *keys, *address)
            if len(list(out.iterdir())) != STORED // 3:
                raise RuntimeError("C-GET did not bring everything.")

    def _run(self, name: str, size: int, count: int, doors: Doors, tool: str, *arguments: str | Path) -> None:
        began, used = time.perf_counter(), cpu_of(doors.pid)
        done = self.dcmtk(tool, *arguments, timeout=1800)
        if done.code != 0:
            raise RuntimeError(f"{tool}: {done.said[-2000:]}")
        self._note(name, size, (time.perf_counter() - began) / count, (cpu_of(doors.pid) - used) / count)

    def _note(self, name: str, size: int, wall: float, cpu: float) -> None:
        self.costs.setdefault(name, Cost(name)).add(size, wall, cpu)
        print(f"{size:>9,}  {name:30} {wall * 1000:9.2f} ms  {cpu * 1000:8.2f} ms CPU", file=sys.stderr, flush=True)


# --- telling ------------------------------------------------------------------


def _medians(values: dict[int, list[float]]) -> list[float]:
    return [statistics.median(values[size]) for size in sorted(values)]


def markdown(costs: Sequence[Cost], sizes: Sequence[int], machine: str) -> str:
    """Give the tables: wall time and the server's CPU time, each with its growth from the first size to the last."""
    lines = [machine, ""]
    asked = [cost for cost in costs if cost.name == _STORING]
    for cost in asked:
        times = growth(cost.cpu)
        verdict = "met" if times <= LIMIT else "not met"
        lines += [f"Storing must not slow by more than {LIMIT - 1:.0%}: CPU time x {times:.2f}, {verdict}.", ""]
    for title, which in (("CPU time of the server, or of the command", "cpu"), ("Wall time", "wall")):
        lines += [
            f"### {title}, ms each",
            "",
            "| instances in the index | " + " | ".join(f"{size:,}" for size in sizes) + " | last ÷ first |",
            "|---|" + "--:|" * (len(sizes) + 1),
        ]
        for cost in costs:
            values: dict[int, list[float]] = getattr(cost, which)
            told = " | ".join(f"{value:,.2f}" for value in _medians(values))
            lines.append(f"| {cost.name} | {told} | {growth(values):.2f} |")
        lines.append("")
    return "\n".join(lines)


def picture(costs: Sequence[Cost], sizes: Sequence[int], machine: str) -> str:
    """Give the SVG: what things cost, and how many times what they cost at the first size."""
    absolute = {cost.name: _medians(cost.cpu) for cost in costs}
    relative = {
        cost.name: [growth({sizes[0]: cost.cpu[sizes[0]], size: cost.cpu[size]}) for size in sizes] for cost in costs
    }
    return plot.two_panels(
        plot.Panel("CPU time of the server, ms each", absolute, is_log=True),
        plot.Panel(f"times the CPU time at {sizes[0]:,}", relative, band=(1.0, LIMIT), band_says="20 % more"),
        sizes,
        x="instances in the index, and records in the audit log",
        below=machine,
    )


def main() -> None:
    """Fill what is missing, measure, and write ``results/growth.{json,md,svg}``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--up-to", type=int, default=100_000, help="instances at the end (100000)")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions, of which the median counts (5)")
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "leadglass-growth", help="what is kept")
    parser.add_argument("--fill", action="store_true", help="only fill the archives, for a run later")
    asked = parser.parse_args()
    sizes = [size for size in SIZES if size <= asked.up_to]
    fill(asked.cache, sizes)
    if asked.fill:
        return
    with TemporaryDirectory(prefix="leadglass-growth-", ignore_cleanup_errors=True) as name:
        growing = Growth(Path(name), asked.cache, sizes)
        octets = (growing.leads[sizes[-1]].data / "index.db").stat().st_size
        for repetition in range(asked.repeats):
            growing.measure(repetition)
    costs = list(growing.costs.values())
    machine = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, loopback, medians of {asked.repeats}; "
        f"the largest index has {octets / 1e6:,.0f} MB"
    )
    text = markdown(costs, sizes, machine)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "growth.md").write_text(text)
    listed = [{"what": cost.name, "wall_ms": cost.wall, "cpu_ms": cost.cpu} for cost in costs]
    (RESULTS / "growth.json").write_text(json.dumps({"machine": machine, "sizes": sizes, "costs": listed}, indent=1))
    (RESULTS / "growth.svg").write_text(picture(costs, sizes, machine))
    print(text)


if __name__ == "__main__":
    main()
