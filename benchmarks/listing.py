"""The study list over a large index: pages and searches as a browser asks for them, at the web door, with a session.

Rule: a question is asked as the page asks it: a form is sent, its words are
remembered by the server, and the list that is then loaded is what is timed, from
the first byte sent to the last one read, TLS, session, record and page included.
Studies do not arrive in the order of their dates: rows that stand together in the
list stand apart in the index, as after a migration.

    python -m benchmarks.listing FOLDER --studies 100000

The folder keeps what is made up for the next time.
"""

import argparse
import json
import os
import platform
import random
import re
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.dimse import RESULTS
from benchmarks.growth import cpu_of
from benchmarks.made_up import DAYS, Study, arrived, parts_of, places, study
from benchmarks.searching import cpu_seconds
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.errors import Conflict
from leadglass.policy.action import Action
from leadglass.vault.filing import Filing
from leadglass.vault.index import packed
from leadglass.vault.objects import Place
from leadglass.vault.records import Arrived, Filed
from tests.callers import permit
from tests.doors.pages.browser import GOOD, add_person
from tests.peers.leadglass import Leadglass
from tests.peers.web import Web, serving

FREE = "[brakes.people]\nqueries_per_minute = 100000\nlisted_per_hour = 1000000\nlisted_per_day = 1000000\n"
"""Nobody asks so much in earnest; the brakes count all the same."""

AIM = 200.0
"""Milliseconds that 95 of 100 answers may take at most."""

_MANY = 1_000_000
_TIMES = 10
_BATCH = 2_500
_WHAT = {
    "CT": ("Thorax", "Abdomen", "Schädel nativ", "Thorax/Abdomen mit KM", "Becken", "Angiographie Aorta"),
    "MR": ("Schädel", "Knie rechts", "Knie links", "LWS", "HWS", "Abdomen MRCP", "Prostata"),
    "CR": ("Thorax p.a.", "Thorax liegend", "Hand links", "Hand rechts", "OSG", "Becken a.p."),
    "US": ("Sono Abdomen", "Sono Hals", "Sono Schilddrüse", "Duplex Carotis"),
    "DX": ("Thorax p.a.", "Schulter", "Ellenbogen", "Wirbelsäule ganz"),
    "MG": ("Mammographie beidseits", "Mammographie Screening"),
    "ECG": ("Ruhe-EKG",),
    "RTSTRUCT": ("Bestrahlungsplanung",),
}
_OFTEN = (25.0, 15.0, 25.0, 15.0, 15.0, 5.0, 0.05, 0.01)
"""How often each, in a hundred: some are rare."""


def made(number: int, which: int, place: Place) -> Arrived:
    """Make up one instance of a study."""
    one = study(number)
    chance = random.Random(f"what {number}")
    modality = chance.choices(list(_WHAT), _OFTEN)[0]
    description = f"{modality} {chance.choice(_WHAT[modality])}"
    if number % 5_003 == 11:
        description += f" Sonderfall{number % 7}"
    own: Attributes = {
        "00080060": JsonElement(vr="CS", Value=[modality]),
        "00081030": JsonElement(vr="LO", Value=[description]),
    }
    attributes = one.attributes(which) | own
    return replace(arrived(one, which, place), attributes=attributes, packed=packed.pack(attributes))


def fill(leadglass: Leadglass, studies: int) -> None:
    """Make up an archive, once: a tenth is filed, two instances a study, and multiplied where it is many."""
    filled = leadglass.data / "filled"
    if filled.exists():
        return
    leadglass.do("init")
    is_many = studies >= _MANY
    own = studies // _TIMES if is_many else studies
    where, may = places(7), permit(Action.STORE)

    def some(filing: Filing, start: int) -> None:
        for number in range(start, min(own, start + _BATCH)):
            for which in range(2):
                if not isinstance(filing.file(made(number, which, next(where)), may), Filed):
                    raise Conflict("The made-up archive contradicts itself.")

    began = time.perf_counter()
    with parts_of(leadglass.data) as parts:
        run = parts.vault._parts.committer.run
        for start in range(0, own, _BATCH):
            run(lambda filing, start=start: some(filing, start))
            study.cache_clear()
        if is_many:
            run(multiply)
    print(f"{studies:,} studies in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    filled.touch()


def multiply(filing: Filing) -> None:
    """Give each study nine of other patients beside it, of other days; their instances are left out.

    What a list of studies reads is made as filing makes it (a test compares);
    the indexes are taken away meanwhile, and made anew.
    """
    run = filing._connection.execute
    run("PRAGMA cache_size = -1000000")
    indexes = run(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        " AND tbl_name IN ('study', 'series', 'study_word', 'study_term', 'study_name', 'study_source',"
        " 'study_referrer')"
    ).fetchall()
    for name, _ in indexes:
        run(f"DROP INDEX {name}")
    count = run("SELECT max(id) FROM study").fetchone()[0]
    series = run("SELECT max(id) FROM series").fetchone()[0]
    for time_ in range(1, _TIMES):
        said = {"k": time_, "n": count, "m": series, "days": DAYS}
        run(
            "INSERT INTO study (id, study_uid, patient_id, issuer_of_patient_id, patient, patient_id_form,"
            " patient_birth_date, study_date, accession_number, study_code, key, attributes, received, newest, name)"
            " SELECT id + :n * :k, study_uid || '.' || :k, patient_id || '-' || :k, issuer_of_patient_id,"
            " patient_id || '-' || :k || '\\' || issuer_of_patient_id, patient_id_form || '-' || :k,"
            " patient_birth_date, day, accession_number || :k, study_code, key,"
            " CAST(x'00' || replace(replace(replace(replace(CAST(substr(attributes, 2) AS TEXT),"
            " '\"' || study_uid || '\"', '\"' || study_uid || '.' || :k || '\"'),"
            " '\"' || study_date || '\"', '\"' || day || '\"'),"
            " '\"' || upper(accession_number) || '\"', '\"' || upper(accession_number) || :k || '\"'),"
            " '\"' || patient_id || '\"', '\"' || patient_id || '-' || :k || '\"') AS BLOB),"
            " received, day || substr(newest, 9), name FROM (SELECT *, strftime('%Y%m%d', '2016-01-01',"
            " '+' || ((id * 7919 + :k * 104729) % :days) || ' days') AS day FROM study WHERE id <= :n)",
            said,
        )
        run(
            "INSERT INTO series (id, study_id, series_uid, modality, instances, attributes, series_number)"
            " SELECT id + :m * :k, study_id + :n * :k, series_uid || '.' || :k, modality, instances, attributes,"
            " series_number FROM series WHERE id <= :m",
            said,
        )
        for table, columns in (
            ("study_name", "study_id + :n * :k, form"),
            ("study_source", "study_id + :n * :k, source"),
            ("study_referrer", "study_id + :n * :k, form"),
        ):
            run(f"INSERT INTO {table} SELECT {columns} FROM {table} WHERE study_id <= :n", said)
    times = "WITH RECURSIVE k(k) AS (VALUES(1) UNION ALL SELECT k + 1 FROM k WHERE k < :t)"
    for table in ("study_word", "study_term"):
        run(
            f"{times} INSERT INTO {table} SELECT word, study_id + :n * k FROM {table} CROSS JOIN k"
            " WHERE study_id <= :n ORDER BY 1, 2",
            {"t": _TIMES - 1, "n": count},
        )
    for _, text in indexes:
        run(text)


# --- asking -------------------------------------------------------------------


@dataclass(slots=True)
class Row:
    """What one kind of question took, in milliseconds, and how many studies each found."""

    name: str
    took: list[float] = field(default_factory=list[float])
    found: list[str] = field(default_factory=list[str])
    cpu: list[float] = field(default_factory=list[float])
    """Milliseconds of the server's processor time."""

    def quantile(self, part: float, values: list[float] | None = None) -> float:
        """Give a quantile of what it took, or of other values."""
        ranked = sorted(self.took if values is None else values)
        return ranked[min(len(ranked) - 1, int(len(ranked) * part))]


class Reader:
    """Somebody at a browser: signed in, with a connection that stays open."""

    def __init__(self, web: Web, name: str, password: str) -> None:
        context = ssl.create_default_context(cafile=str(web.authority))
        self._connection = HTTPSConnection(*web.address, context=context)
        self._fields = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
        status, fields, _ = self._ask("POST", "/sign-in", {"name": name, "password": password})
        if status != 303:
            raise SystemExit(f"Signing in was answered with {status}.")
        cookies = [value.split(";")[0] for key, value in fields if key.lower() == "set-cookie"]
        self._fields["Cookie"] = "; ".join(each for each in cookies if not each.strip('"').endswith("="))
        found = re.search(rb'name="csrf" value="([^"]+)"', self.get("/studies"))
        if found is None:
            raise SystemExit("The list has no form.")
        self._csrf = found[1].decode()

    def get(self, path: str) -> bytes:
        """Load a page."""
        status, _, body = self._ask("GET", path, None)
        if status != 200:
            raise SystemExit(f"A page was answered with {status}.")
        return body

    def search(self, **boxes: str) -> str:
        """Send the form as without scripts; gives where the list is."""
        status, fields, _ = self._ask("POST", "/studies", {"csrf": self._csrf, **boxes})
        if status != 303:
            raise SystemExit(f"A search was answered with {status}.")
        return {key.lower(): value for key, value in fields}["location"]

    def type(self, **boxes: str) -> bytes:
        """Send the form as while somebody types."""
        self._fields["x-leadglass-part"] = "results"
        status, _, body = self._ask("POST", "/studies", {"csrf": self._csrf, "passing": "1", **boxes})
        del self._fields["x-leadglass-part"]
        if status != 200 or b'role="alert"' in body:
            raise SystemExit(f"A search was answered with {status}.")
        return body

    def _ask(self, method: str, path: str, form: dict[str, str] | None) -> tuple[int, list[tuple[str, str]], bytes]:
        fields = dict(self._fields)
        body = None
        if form is not None:
            body, fields["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
        self._connection.request(method, path, body, fields)
        answer = self._connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()


def questions(studies: int) -> dict[str, Callable[[random.Random], dict[str, str]]]:
    """Give what is typed, by kind: each time something else."""
    own = studies // _TIMES if studies >= _MANY else studies

    def some(chance: random.Random) -> Study:
        return study(chance.randrange(own))

    def name(chance: random.Random) -> list[str]:
        return some(chance).patient_name.split("=")[0].split("^")

    return {
        "name, one word": lambda chance: {"anything": name(chance)[0]},
        "name, first letters": lambda chance: {"anything": name(chance)[0][: chance.randint(2, 4)]},
        "name, one letter": lambda chance: {"anything": name(chance)[0][:1]},
        "name, given name first": lambda chance: {"name": " ".join(reversed(name(chance)))},
        "given name": lambda chance: {"anything": name(chance)[-1]},
        "name, spelled alike": lambda chance: {"name": name(chance)[0], "fuzzy": "1"},
        "Patient ID": lambda chance: {"patient_id": some(chance).patient_id},
        "Patient ID, beginning": lambda chance: {"anything": some(chance).patient_id[: chance.randint(3, 6)]},
        "accession number": lambda chance: {"accession": some(chance).accession},
        "description": lambda chance: {
            "description": chance.choice(("thorax", "knie", "schädel", "mammo", "sonderfall3"))
        },
        "description and name": lambda chance: {"anything": f"{chance.choice(('thorax', 'knie'))} {name(chance)[-1]}"},
        "modality": lambda chance: {"modality": chance.choice(("CT", "MG", "ECG", "RTSTRUCT"))},
        "modality and name": lambda chance: {"modality": "MR", "anything": name(chance)[-1]},
        "a day": lambda chance: _range(some(chance).date, some(chance).date[:0]),
        "a month, one modality": lambda chance: _range(some(chance).date, "month") | {"modality": "US"},
        "nothing there": lambda chance: {"anything": f"zq{chance.randrange(1000)}"},
    }


def _range(day: str, span: str) -> dict[str, str]:
    text = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    return {"period": "range", "since": f"{text[:8]}01" if span else text, "until": f"{text[:8]}28" if span else text}


def measure(reader: Reader, pid: int, studies: int, times: int) -> list[Row]:
    """Ask each kind of question so many times."""
    rows: list[Row] = []

    def time_it(row: Row, ask: Callable[[], bytes]) -> bytes:
        spent, began = cpu_of(pid), time.perf_counter()
        body = ask()
        row.took.append((time.perf_counter() - began) * 1_000)
        row.cpu.append((cpu_of(pid) - spent) * 1_000)
        found = re.search(rb'id="count">(?:<strong>)?\s*([^<\n]+)', body)
        row.found.append(found[1].decode().strip() if found is not None else "")
        return body

    def note(row: Row) -> None:
        rows.append(row)
        print(_line(row), file=sys.stderr, flush=True)

    for label, path in (
        ("first page, newest first", "/studies"),
        ("first page, by patient", "/studies?sort=patient"),
        ("first page, by Patient ID", "/studies?sort=patient-id"),
        ("first page, last received first", "/studies?sort=received"),
        ("last page (oldest first)", "/studies?turned=1"),
    ):
        row = Row(label)
        for _ in range(times):
            time_it(row, lambda path=path: reader.get(path))
        note(row)
    for order in ("", "patient"):
        row, chance = Row(f"pages in the middle{', by patient' if order else ''}"), random.Random(order)
        for _ in range(max(2, times // 20)):
            day = _range(study(chance.randrange(1_000)).date, "")["since"]
            path = reader.search(period="range", until=day, sort=order)
            for number in range(2, 22):
                reader.get(path) if number == 2 else None
                join = "&" if "?" in path else "?"
                time_it(row, lambda path=path, join=join, number=number: reader.get(f"{path}{join}page={number}"))
        note(row)
    for label, boxes in questions(studies).items():
        typed, whole, chance = Row(f"{label} (typing)"), Row(label), random.Random(label)
        for _ in range(times):
            asked = boxes(chance)
            time_it(typed, lambda asked=asked: reader.type(**asked))
            path = reader.search(**boxes(chance))
            time_it(whole, lambda path=path: reader.get(path))
        note(typed)
        note(whole)
    return rows


def _line(row: Row) -> str:
    p50, p95, p99 = (row.quantile(part) for part in (0.5, 0.95, 0.99))
    cpu = row.quantile(0.95, row.cpu)
    return f"{row.name:45} p50 {p50:6.1f}  p95 {p95:6.1f}  p99 {p99:6.1f} ms  CPU p95 {cpu:5.1f}  {row.found[-1]}"


def markdown(rows: Sequence[Row], machine: str) -> str:
    """Give the table."""
    lines = [machine, "", "| | p50 | p95 | p99 | CPU p50 | CPU p95 |", "|---|--:|--:|--:|--:|--:|"]
    for row in rows:
        told = " | ".join(f"{row.quantile(part):.0f}" for part in (0.5, 0.95, 0.99))
        spent = " | ".join(f"{row.quantile(part, row.cpu):.0f}" for part in (0.5, 0.95))
        lines.append(f"| {row.name} | {told} | {spent} |")
    missed = [row.name for row in rows if row.quantile(0.95) >= AIM]
    lines += ["", f"Aim: p95 below {AIM:.0f} ms: " + (f"missed by {', '.join(missed)}." if missed else "met by all.")]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Fill what is missing, measure, and write ``results/listing.{json,md}``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=40, help="questions of each kind (40)")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    leadglass = Leadglass(asked.folder)
    fill(leadglass, asked.studies)
    with serving(asked.folder, settings=FREE) as web:
        reader = Reader(web, add_person(web, "reader"), GOOD)
        began = cpu_seconds(web)
        rows = measure(reader, web.doors.pid, asked.studies, asked.times)
        spent = cpu_seconds(web) - began
    octets = (leadglass.data / "index.db").stat().st_size
    answers = sum(len(row.took) for row in rows)
    machine = (
        f"{asked.studies:,} studies, an index of {octets / 1e6:,.0f} MB, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, loopback, milliseconds of {asked.times} answers and more each, "
        f"one connection; {1_000 * spent / answers:.0f} ms of the server's CPU time an answer"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "listing.md").write_text(markdown(rows, machine))
    listed = [{"what": row.name, "ms": row.took, "cpu_ms": row.cpu} for row in rows]
    (RESULTS / "listing.json").write_text(json.dumps({"machine": machine, "rows": listed}, indent=1))
    print(markdown(rows, machine))


if __name__ == "__main__":
    main()
