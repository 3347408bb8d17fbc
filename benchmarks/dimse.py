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
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.images import Load, make
from benchmarks.importing import measure_import
from benchmarks.limits import disk, make_room
from benchmarks.peers import PEERS, Peer, Running
from benchmarks.report import DISK, PATTERN, Measurement, tables, verdicts
from tests.peers.dcmtk import Dcmtk, tls_options
from tests.peers.running import free_port
from tests.peers.tunnel import tunnel

RESULTS = Path(__file__).resolve().parent / "results"
DEADLINE = 1800.0
"""Seconds after which a client is given up."""

FOUR = "C-STORE x 4"
"""Four associations at once."""


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

    def store_four(self, peer: Running, load: Load) -> float:
        """Send from four clients at once, a quarter each; gives the seconds until the last has ended."""
        start = time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            sent = [pool.submit(self.client, "storescu", "+sd", *self.address(peer), part) for part in load.folders(4)]
            for each in sent:
                each.result()
        return time.perf_counter() - start

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


@contextmanager
def _fresh(peer: Peer, bench: Bench) -> Generator[Running]:
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    with peer.start(folder, free_port()) as running:
        yield running
    make_room(folder)


Task = Callable[[Running, Load], float]


def measure(bench: Bench, loads: tuple[Load, ...], peers: tuple[Peer, ...]) -> list[Measurement]:
    """Measure everything; a peer that cannot do a task is noted with the reason."""
    results: list[Measurement] = []
    for load in loads:
        for task, writers in (("C-STORE", 1), (FOUR, 4)):
            for name, is_archive in ((DISK, False), (PATTERN, True)):
                limit = Measurement(f"{task} {load.name}", name, load.count, load.octets)
                for _ in range(bench.repeats):
                    limit.seconds.append(disk(load, bench.folder, writers=writers, is_archive=is_archive))
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
            rows[FOUR] = Measurement(f"{FOUR} {load.name}", peer.name, load.count, load.octets)
            for _ in range(bench.repeats):
                try:
                    with _fresh(peer, bench) as running:
                        for name, task in tasks:
                            _try(rows[name], task, running, load)
                    with _fresh(peer, bench) as running:
                        _try(rows[FOUR], bench.store_four, running, load)
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


def _to_import(folder: Path, scale: float) -> tuple[Load, ...]:
    """Make 10,000 files of 12 kB, and 10,000 of 4 to 600 kB, half of them below 50 kB."""
    count = max(40, round(10_000 * scale))
    studies = max(2, round(100 * scale))
    mixed = (40, 64, 76, 96, 128, 256, 320, 400, 512, 545)
    return (
        make(folder / "import-small", "12 kB", count=count, side=76, studies=studies),
        make(folder / "import-mixed", "4-600 kB", count=count, side=mixed, studies=studies),
    )


def main() -> None:
    """Measure, and write ``results/dimse.md`` and ``results/dimse.json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="20 + 10 instances, once")
    size.add_argument("--full", action="store_true", help="2,000 x 12 kB and 1,000 x 526 kB")
    parser.add_argument("--scale", type=float, default=0.1, help="share of the full load (0.1)")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions, of which the median counts (3)")
    parser.add_argument("--peers", nargs="*", default=[peer.word for peer in PEERS], help="only these")
    parser.add_argument("--no-import", action="store_true", help="leave the import out")
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
        if not asked.no_import:
            results += [_told(row) for row in measure_import(_to_import(folder, scale), folder, repeats)]
    text = f"{verdicts(results)}\n{tables(results)}"
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
