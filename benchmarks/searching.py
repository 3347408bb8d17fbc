"""Searching by the web over a large index: QIDO-RS with token, TLS, seal and record, as a viewer asks.

    python -m benchmarks.searching FOLDER --studies 100000

The folder keeps what is made up for the next time. What a request costs the
server in CPU time says more than the rate where other things run.
"""

import argparse
import ssl
import time
from collections.abc import Sequence
from http.client import HTTPSConnection
from pathlib import Path
from threading import Thread
from urllib.parse import quote

from benchmarks.made_up import file_in_bulk, parts_of, study
from tests.peers.leadglass import Leadglass
from tests.peers.web import Web, serving

FREE = "[brakes.tokens]\nqueries_per_minute = 100000\nlisted_per_hour = 1000000\nlisted_per_day = 1000000\n"
"""Nobody asks so much in earnest; the brakes count all the same."""

_PER_STUDY = 2


def fill(leadglass: Leadglass, studies: int) -> None:
    """Make up an archive, once."""
    if leadglass.data.exists():
        return
    leadglass.do("init")
    with parts_of(leadglass.data) as parts:
        file_in_bulk(parts.vault, 0, studies, per_study=_PER_STUDY)


def questions(studies: int) -> dict[str, list[str]]:
    """Give what is asked, by name."""
    some = [study(number * 997 % studies) for number in range(1_000)]
    return {
        "by Patient ID": [f"PatientID={each.patient_id}" for each in some],
        "by accession number": [f"AccessionNumber={each.accession}" for each in some],
        "newest 100": ["limit=100"],
        "a day": [f"StudyDate={each.date}" for each in some],
        "fuzzy name": [f"PatientName={each.patient_name.split('^')[0]}&fuzzymatching=true&limit=25" for each in some],
    }


def ask(web: Web, token: str, queries: Sequence[str], *, connections: int, seconds: float) -> str:
    """Ask over some connections for some seconds; gives the figures."""
    context = ssl.create_default_context(cafile=str(web.authority))
    taken: list[float] = []

    def go(first: int) -> None:
        connection = HTTPSConnection(*web.address, context=context)
        number, until = first, time.perf_counter() + seconds
        while time.perf_counter() < until:
            began = time.perf_counter()
            path = "/dicom-web/studies?" + quote(queries[number % len(queries)], safe="=&")
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"A search was answered with {answer.status}.")
            taken.append(time.perf_counter() - began)
            number += connections

    spent = cpu_seconds(web)
    threads = [Thread(target=go, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = cpu_seconds(web) - spent
    taken.sort()
    p50, p95, p99 = (1_000 * taken[int(len(taken) * part)] for part in (0.5, 0.95, 0.99))
    cost = 1_000 * spent / len(taken)
    return (
        f"{len(taken) / seconds:6.0f}/s  p50 {p50:.1f}  p95 {p95:.1f}  p99 {p99:.1f} ms  server {cost:.2f} ms CPU each"
    )


def cpu_seconds(web: Web) -> float:
    """Give the CPU time of the server so far."""
    fields = Path(f"/proc/{web.doors.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    fill(Leadglass(asked.folder), asked.studies)
    with serving(asked.folder, settings=FREE) as web:
        token = web.token(name=f"bench{time.time_ns()}")
        for name, queries in questions(asked.studies).items():
            for connections in (1, 4):
                figures = ask(web, token, queries, connections=connections, seconds=asked.seconds)
                print(f"{name:20} {connections} connections  {figures}", flush=True)


if __name__ == "__main__":
    main()
