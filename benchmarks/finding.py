"""C-FIND over a large archive, Leadglass against Orthanc: the same studies, the same client, the same queries.

Rule: both archives really hold every study, and for each kind of query both give
the same studies; pynetdicom, which shares no code with either, is asked too.
Filling Orthanc takes minutes, so what was filled is kept in a folder of its own
between runs.

    python -m benchmarks.finding                        100,000 studies
    python -m benchmarks.finding --studies 5000         does it run at all
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind

from benchmarks import queries
from benchmarks.dimse import RESULTS
from benchmarks.made_up import VERSION, file_in_bulk, parts_of, study
from tests.peers.dcmtk import Dcmtk
from tests.peers.leadglass import Leadglass
from tests.peers.orthanc import Json, Modality, Orthanc, orthanc

CHECKED = 10
"""Queries of each kind whose answers are compared study by study."""

UPLOADS = 4

_FILLED = "filled"


@dataclass(slots=True)
class Row:
    """Milliseconds each query took, of each repetition, by peer; and how many studies each found."""

    kind: str
    matches: float = 0.0
    took: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def median(self, peer: str) -> float:
        return statistics.median(self.took[peer])


def _is_filled(folder: Path) -> bool:
    """Say whether an earlier run filled it to the end; what was begun only is removed."""
    if (folder / _FILLED).exists():
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def filled_leadglass(folder: Path, studies: int) -> Leadglass:
    """Give a Leadglass with the made-up studies, an instance each."""
    lead = Leadglass(folder)
    if not _is_filled(folder):
        folder.mkdir(parents=True)
        lead.do("init")
        lead.device("BENCH", plaintext=True, bulk="measuring")
        with parts_of(lead.data) as parts:
            file_in_bulk(parts.vault, 0, studies, per_study=1)
        (folder / _FILLED).touch()
    return lead


@contextmanager
def leadglass(folder: Path, studies: int) -> Generator[tuple[int, str]]:
    """Serve it."""
    with filled_leadglass(folder, studies).serve() as doors:
        yield doors.plain[1], "LEADGLASS"


@contextmanager
def filled_orthanc(folder: Path, studies: int, *, dicomweb: Mapping[str, Json] | None = None) -> Generator[Orthanc]:
    """Run an Orthanc with the made-up studies, an instance each."""
    is_filled = _is_filled(folder)
    with orthanc(folder, {"bench": Modality("BENCH", "127.0.0.1", 1)}, dicomweb=dicomweb) as peer:
        if not is_filled:
            start = time.perf_counter()
            with ThreadPoolExecutor(UPLOADS) as threads:
                parts = [range(first, studies, UPLOADS) for first in range(UPLOADS)]
                list(threads.map(lambda part: _upload(peer.http, part), parts))
            (folder / _FILLED).touch()
            print(f"Orthanc filled in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        yield peer


@contextmanager
def _orthanc(folder: Path, studies: int) -> Generator[tuple[int, str]]:
    with filled_orthanc(folder, studies) as peer:
        yield peer.dicom, "ORTHANC"


def _upload(port: int, numbers: Iterable[int]) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=300)
    for number in numbers:
        connection.request("POST", "/instances", study(number).file(0))
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"Orthanc does not take study {number}: {said[:300]!r}")


def answers(port: int, ae_title: str, kind: str, number: int, studies: int) -> set[str]:
    """Ask by pynetdicom; gives the Study Instance UIDs."""
    ae = AE("BENCH")
    ae.add_requested_context(StudyRootFind)
    association = ae.associate("127.0.0.1", port, ae_title=ae_title)
    if not association.is_established:
        raise RuntimeError(f"{ae_title} does not take the association")
    try:
        identifier = Dataset.from_json(queries.keys(kind, number, studies))
        return {
            str(answer.StudyInstanceUID)
            for status, answer in association.send_c_find(identifier, StudyRootFind)
            if answer is not None
        }
    finally:
        association.release()


def measure(cache: Path, studies: int, count: int, repeats: int) -> list[Row]:
    """Fill both, ask both, see that they agree; gives a row for each kind of query."""
    rows = {kind: Row(kind) for kind in queries.KINDS}
    found: dict[str, dict[str, list[set[str]]]] = {}
    with TemporaryDirectory(prefix="leadglass-find-") as name:
        asked = {kind: queries.write(Path(name) / kind, kind, count, studies) for kind in queries.KINDS}
        for peer, start in (("Leadglass", leadglass), ("Orthanc", _orthanc)):
            with start(cache / f"{peer.lower()}-{studies}-{VERSION}", studies) as (port, ae_title):
                for kind, row in rows.items():
                    found.setdefault(kind, {})[peer] = [
                        answers(port, ae_title, kind, number, studies) for number in range(min(CHECKED, count))
                    ]
                    row.took[peer] = [_ask(port, ae_title, asked[kind]) for _ in range(repeats)]
                    print(f"{peer:10} {kind:18} {row.median(peer):8.2f} ms", file=sys.stderr, flush=True)
    for kind, row in rows.items():
        if found[kind]["Leadglass"] != found[kind]["Orthanc"]:
            raise RuntimeError(f"C-FIND by {kind}: the two do not find the same studies")
        row.matches = statistics.mean(map(len, found[kind]["Leadglass"]))
    return list(rows.values())


def _ask(port: int, ae_title: str, asked: list[Path]) -> float:
    """Ask everything on one association by findscu; gives the milliseconds of one."""
    start = time.perf_counter()
    done = Dcmtk()("findscu", "-S", "-aet", "BENCH", "-aec", ae_title, "127.0.0.1", str(port), *asked, timeout=3600)
    if done.code != 0:
        raise RuntimeError(f"findscu: {done.said[-2000:]}")
    return (time.perf_counter() - start) / len(asked) * 1000


def main() -> None:
    """Measure, and write ``results/finding.{json,md}``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100, help="of each kind, on one association (100)")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions, of which the median counts (3)")
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "leadglass-finding", help="what is kept")
    asked = parser.parse_args()
    rows = measure(asked.cache, asked.studies, asked.queries, asked.repeats)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, loopback, medians of {asked.repeats}"
    lines = [
        f"{machine}; {asked.studies:,} studies in each; findscu, {asked.queries} queries on one association",
        "",
        "| query at STUDY level | studies found | Leadglass, ms | Orthanc, ms | ratio |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        ours, theirs = row.median("Leadglass"), row.median("Orthanc")
        lines.append(f"| {row.kind} | {row.matches:.1f} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.1f} |")
    text = "\n".join([*lines, ""])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "finding.md").write_text(text)
    listed = [{"kind": row.kind, "matches": row.matches, "ms": row.took} for row in rows]
    told = {"machine": machine, "studies": asked.studies, "queries": asked.queries, "results": listed}
    (RESULTS / "finding.json").write_text(json.dumps(told, indent=1))
    print(text)


if __name__ == "__main__":
    main()
