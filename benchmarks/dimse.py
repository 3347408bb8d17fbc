"""DICOM network services, measured with stock clients against named peers and the disk's own limit.

Rule: everything in one table was measured in one run on one machine, each
repetition with a fresh peer and an empty store. Read the ratios, not the times.

    python -m benchmarks.dimse            a tenth of the load, medians of 3
    python -m benchmarks.dimse --full     2,000 x 12 kB and 1,000 x 526 kB
    python -m benchmarks.dimse --quick    a minute or so: does it run at all
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.images import Load, make
from benchmarks.peers import PEERS, Peer, Running
from tests.peers.dcmtk import Dcmtk, tls_options
from tests.peers.running import free_port
from tests.peers.tunnel import tunnel

RESULTS = Path(__file__).resolve().parent / "results"
DEADLINE = 1800.0
"""Seconds after which a client is given up."""


@dataclass(slots=True)
class Measurement:
    """Seconds of each repetition of one task against one peer; or why there are none."""

    task: str
    peer: str
    count: int
    octets: int
    seconds: list[float] = field(default_factory=list[float])
    missing: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else float("nan")


@dataclass(frozen=True, slots=True)
class Bench:
    """What every task needs."""

    dcmtk: Dcmtk
    folder: Path
    repeats: int
    queries: int

    def client(self, tool: str, *arguments: str | Path) -> float:
        """Run a client that has to succeed; gives its seconds."""
        start = time.perf_counter()
        done = self.dcmtk(tool, *arguments, timeout=DEADLINE)
        took = time.perf_counter() - start
        if done.code != 0:
            raise RuntimeError(f"{tool}: {done.said[-2000:]}")
        return took

    def address(self, peer: Running) -> list[str]:
        return [*tls_options(peer.credentials), "-aet", "BENCH", "-aec", peer.ae_title, "127.0.0.1", str(peer.port)]

    def store(self, peer: Running, load: Load) -> float:
        return self.client("storescu", "+sd", *self.address(peer), load.folder)

    def find(self, peer: Running, load: Load) -> float:
        """Ask for one study after the other on one association, and for the list of all."""
        queries = load.queries(self.folder / f"queries-{load.name}", self.queries)
        return self.client("findscu", "-S", *self.address(peer), *queries)

    def get(self, peer: Running, load: Load) -> float:
        if peer.credentials is not None:
            pytest.skip("DCMTK 3.6.7's getscu has no TLS")
        out = tempfile.mkdtemp(dir=self.folder)
        took = 0.0
        for study in load.studies:
            keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}", "+B", "-od", out]
            took += self.client("getscu", *keys, *self.address(peer))
        received = sum(1 for _ in Path(out).iterdir())
        if received != load.count:
            raise RuntimeError(f"C-GET brought {received} of {load.count} instances")
        return took

    def move(self, peer: Running, load: Load) -> float:
        with contextlib.ExitStack() as stack:
            port = peer.port
            if peer.credentials is not None:  # movescu has no TLS either; its few bytes go through a tunnel
                port = stack.enter_context(tunnel(("127.0.0.1", peer.port), credentials=peer.credentials))
            received = stack.enter_context(
                self.dcmtk.storescp(
                    Path(tempfile.mkdtemp(dir=self.folder)) / "in", port=peer.dest_port, credentials=peer.dest
                )
            )
            took = 0.0
            for study in load.studies:
                keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
                client = ["-aet", "BENCH", "-aec", peer.ae_title, "-aem", "BENCHDEST", "127.0.0.1", str(port)]
                took += self.client("movescu", *keys, *client)
            if len(received.files()) != load.count:
                raise RuntimeError(f"C-MOVE brought {len(received.files())} of {load.count} instances")
        return took


def disk(load: Load, folder: Path) -> float:
    """Write the same bytes the way any durable archive has to: a new file each, synced, and its folder at the end."""
    out = Path(tempfile.mkdtemp(dir=folder))
    blocks = [path.read_bytes() for path in sorted(load.folder.rglob("*.dcm"))]
    start = time.perf_counter()
    for number, block in enumerate(blocks):
        descriptor = os.open(out / f"{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, block)
        os.fsync(descriptor)
        os.close(descriptor)
    descriptor = os.open(out, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return time.perf_counter() - start


@contextmanager
def _fresh(peer: Peer, bench: Bench) -> Generator[Running]:
    with (
        tempfile.TemporaryDirectory(dir=bench.folder, ignore_cleanup_errors=True) as folder,
        peer.start(Path(folder), free_port()) as running,
    ):
        yield running


Task = Callable[[Running, Load], float]


def measure(bench: Bench, loads: tuple[Load, ...], peers: tuple[Peer, ...]) -> list[Measurement]:
    """Measure everything; a peer that cannot do a task is noted with the reason."""
    results: list[Measurement] = []
    for load in loads:
        limit = Measurement(f"C-STORE {load.name}", "the disk itself", load.count, load.octets)
        limit.seconds = [disk(load, bench.folder) for _ in range(bench.repeats)]
        results.append(_told(limit))
        for peer in peers:
            tasks: list[tuple[str, Task]] = [("C-STORE", bench.store)]
            if peer.retrieves:
                tasks += [("C-GET", bench.get), ("C-MOVE", bench.move), ("C-FIND", bench.find)]
            rows = {
                name: Measurement(
                    f"{name} {load.name}",
                    peer.name,
                    bench.queries if name == "C-FIND" else load.count,
                    0 if name == "C-FIND" else load.octets,
                )
                for name, _ in tasks
            }
            for _ in range(bench.repeats):
                try:
                    with _fresh(peer, bench) as running:
                        for name, task in tasks:
                            _try(rows[name], task, running, load)
                except (pytest.skip.Exception, RuntimeError, OSError, AssertionError) as error:
                    for row in rows.values():
                        row.missing = row.missing or str(error).strip()[:200]
                    break
            results.extend(_told(row) for row in rows.values())
    return results


def _try(row: Measurement, task: Task, running: Running, load: Load) -> None:
    if row.missing:
        return
    try:
        row.seconds.append(task(running, load))
    except (pytest.skip.Exception, RuntimeError) as error:
        row.missing = str(error).strip()[:200]


def _told(row: Measurement) -> Measurement:
    told = f"{row.median:.2f} s" if row.seconds else f"- {row.missing[:100]!r}"
    print(f"{row.task:24} {row.peer:28} {told}", file=sys.stderr, flush=True)
    return row


def markdown(results: list[Measurement]) -> str:
    """Give a table a task: seconds, rate, and how many times the time of Leadglass over plaintext."""
    lines: list[str] = []
    for task in dict.fromkeys(row.task for row in results):
        rows = [row for row in results if row.task == task]
        ours = next((row.median for row in rows if row.peer == "Leadglass, plaintext" and row.seconds), float("nan"))
        what = "queries" if task.startswith("C-FIND") else "instances"
        lines += [
            f"### {task} ({rows[-1].count:,} {what})",
            "",
            f"| peer | seconds (median) | {what} per s | MB/s | time ÷ Leadglass plaintext |",
            "|---|--:|--:|--:|--:|",
        ]
        for row in rows:
            if not row.seconds:
                lines.append(f"| {row.peer} | - | - | - | {row.missing.splitlines()[0] if row.missing else '-'} |")
                continue
            rate = f"{row.octets / row.median / 1e6:.1f}" if row.octets else "-"
            ratio = f"{row.median / ours:.2f}" if ours == ours else "-"
            lines.append(f"| {row.peer} | {row.median:.2f} | {row.count / row.median:,.0f} | {rate} | {ratio} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure, and write ``results/dimse.md`` and ``results/dimse.json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="20 + 10 instances, once")
    size.add_argument("--full", action="store_true", help="2,000 x 12 kB and 1,000 x 526 kB")
    parser.add_argument("--scale", type=float, default=0.1, help="share of the full load (0.1)")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions, of which the median counts (3)")
    parser.add_argument("--peers", nargs="*", default=[peer.word for peer in PEERS], help="only these")
    asked = parser.parse_args()
    scale, repeats = (0.01, 1) if asked.quick else (1.0 if asked.full else asked.scale, asked.repeats)
    peers = tuple(peer for peer in PEERS if peer.word in asked.peers)
    with tempfile.TemporaryDirectory(prefix="leadglass-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        loads = (
            make(
                folder / "small",
                "12 kB",
                count=max(10, round(2000 * scale)),
                side=76,
                studies=max(2, round(20 * scale)),
            ),
            make(
                folder / "large",
                "526 kB",
                count=max(5, round(1000 * scale)),
                side=512,
                studies=max(1, round(4 * scale)),
            ),
        )
        bench = Bench(Dcmtk(), folder, repeats, queries=max(20, round(500 * scale)))
        results = measure(bench, loads, peers)
    text = markdown(results)
    RESULTS.mkdir(exist_ok=True)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, loopback, medians of {repeats}"
    (RESULTS / "dimse.md").write_text(f"{machine}\n\n{text}")
    listed = [
        {
            "task": row.task,
            "peer": row.peer,
            "count": row.count,
            "octets": row.octets,
            "seconds": row.seconds,
            "missing": row.missing,
        }
        for row in results
    ]
    (RESULTS / "dimse.json").write_text(json.dumps({"machine": machine, "scale": scale, "results": listed}, indent=1))
    print(f"{machine}\n\n{text}")


if __name__ == "__main__":
    main()
