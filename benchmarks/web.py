"""DICOMweb, Leadglass against Orthanc with its DICOMweb plugin: the same data, the same client, the same requests.

Rule: ours as it comes, over TLS, with a token, sealed and on record; theirs as
Debian ships it, over plain HTTP, open, plain files, and once more behind nginx,
which is how it gets TLS (its own ended at the first request). So that like is
compared with like, ours is asked once more with its TLS taken out, which only a
benchmark can do (``in_the_clear``). The client is curl, on kept connections, a
process for each. All are asked the same things in turn, so that what else the
machine does meets them alike; what they answer is compared before any time is
believed.

    python -m benchmarks.web                       100,000 studies to search, 250 and 1,000 CT to fetch and store
    python -m benchmarks.web --studies 5000 --images 60 --repeats 3     does it run at all
"""

import argparse
import json
import os
import platform
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection, RemoteDisconnected
from pathlib import Path
from typing import Final

from benchmarks import images
from benchmarks.dimse import RESULTS
from benchmarks.finding import filled_leadglass, filled_orthanc
from benchmarks.made_up import VERSION, study
from leadglass.crypto.ca import Authority
from tests.peers.leadglass import Leadglass
from tests.peers.orthanc import orthanc
from tests.peers.running import find_program, free_port, is_listening, running, wait_until

OURS: Final = "Leadglass"
OURS_CLEAR: Final = "Leadglass without TLS"
THEIRS: Final = "Orthanc"
THEIRS_TLS: Final = "Orthanc behind nginx (TLS)"
FILE: Final = "a plain file"
ROOT: Final = "/dicom-web"
JSON: Final = {"Accept": "application/dicom+json"}
PART10: Final = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
OCTETS: Final = {"Accept": 'multipart/related; type="application/octet-stream"'}
FREE: Final = """[brakes.tokens]
queries_per_minute = 100000
listed_per_hour = 1000000
listed_per_day = 1000000
studies_per_hour = 1000000
studies_per_day = 1000000
gib_per_hour = 100000
gib_per_day = 100000
"""
CONNECTIONS: Final = 4
_IN_THE_CLEAR: Final = "benchmarks.in_the_clear"
SEARCHES: Final = 30


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to ask."""

    name: str
    port: int
    token: str = ""
    authority: Path | None = None

    @property
    def url(self) -> str:
        """What paths are put behind."""
        return f"{'http' if self.authority is None else 'https'}://127.0.0.1:{self.port}"

    def connect(self) -> "Line":
        """Open a connection, for what is compared and not measured."""
        if self.authority is None:
            return Line(self, HTTPConnection("127.0.0.1", self.port, timeout=600.0))
        context = ssl.create_default_context(cafile=str(self.authority))
        return Line(self, HTTPSConnection("127.0.0.1", self.port, timeout=600.0, context=context))


@dataclass(frozen=True, slots=True)
class Line:
    """One kept connection."""

    server: Server
    connection: HTTPConnection

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
        """Ask once; gives the body of an answer that says success."""
        sent = dict(headers)
        if self.server.token:
            sent["Authorization"] = f"Bearer {self.server.token}"
        try:
            self.connection.request(method, path, body, sent)
            answer = self.connection.getresponse()
        except RemoteDisconnected:  # it was idle for longer than the server waits
            self.connection.close()
            self.connection.request(method, path, body, sent)
            answer = self.connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{self.server.name}: {method} {path.split('?')[0]}: {answer.status} {said[:300]!r}")
        return said


@dataclass(slots=True)
class Task:
    """Milliseconds of each time something was done, by server."""

    name: str
    least: float
    unit: str = "ms each"
    took: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def median(self, server: str) -> float:
        return statistics.median(self.took[server])

    def ratio(self, ours: str, other: str) -> float:
        """How many times our time another one takes."""
        return self.median(other) / self.median(ours)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Whom of us to compare with whom: without TLS only with who has none either."""
        others = [name for name in self.took if name not in (OURS, OURS_CLEAR)]
        clear = [(OURS_CLEAR, THEIRS)] if OURS_CLEAR in self.took else []
        return [*((OURS, other) for other in others), *clear]

    def note(self, server: str, took: Sequence[float], count: int = 1) -> None:
        """Count milliseconds."""
        self.took.setdefault(server, []).extend(each / count for each in took)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    path: str
    headers: dict[str, str]
    file: Path | None = None
    """What is sent, by POST."""


def curl(server: Server, requests: Sequence[Asked], connections: int = 1) -> list[float]:
    """Ask everything, dealt to so many connections; gives the milliseconds of each but the first of each connection."""

    def one(part: Sequence[Asked]) -> list[float]:
        said: list[str] = []
        # The first opens the connection, which is another matter.
        for asked in (Asked(f"{ROOT}/studies?limit=1", JSON), *part):
            told = ["header", f"Authorization: Bearer {server.token}"] if server.token else []
            given = [("url", server.url + asked.path), ("output", "/dev/null")]
            given += [("write-out", "%{http_code} %{time_total} %{num_connects}\\n")]
            given += [("header", f"{name}: {value}") for name, value in asked.headers.items()]
            given += [("header", "Expect:")]  # curl would wait for leave to send, and lose a second where none comes
            if told:
                given.append((told[0], told[1]))
            if server.authority is not None:
                given.append(("cacert", str(server.authority)))
            if asked.file is not None:
                given.append(("data-binary", f"@{asked.file}"))
            said.append("\n".join('{} = "{}"'.format(name, value.replace('"', '\\"')) for name, value in given))
        ran = subprocess.run(
            ["curl", "--silent", "--globoff", "--config", "-"],
            input="\nnext\n".join(said),
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line.split() for line in ran.stdout.splitlines()][1:]
        if ran.returncode or [line[0] for line in lines] != ["200"] * len(part):
            raise RuntimeError(f"{server.name}: {part[0].path.split('?')[0]}: {ran.stdout[-300:]} {ran.stderr[-300:]}")
        return [float(line[1]) * 1000 for line in lines]

    parts = [part for first in range(connections) if (part := requests[first::connections])]
    with ThreadPoolExecutor(connections) as pool:
        return [took for part in pool.map(one, parts) for took in part]


def _in_turn(
    task: Task,
    servers: Sequence[Server],
    rounds: int,
    requests: Callable[[Server, int], Sequence[Asked]],
    *,
    connections: int = 1,
    count: int = 1,
) -> Task:
    """Have both do what each round asks for, the first round uncounted."""
    for number in range(rounds + 1):
        for server in [*servers[number % len(servers) :], *servers[: number % len(servers)]]:
            took = curl(server, requests(server, number), connections)
            if number:
                task.note(server.name, took, count)
    said = ", ".join(f"{task.ratio(*pair):.2f} {' : '.join(pair)}" for pair in task.pairs)
    print(f"{task.name}: {said}", file=sys.stderr, flush=True)
    return task


# --- searching ----------------------------------------------------------------


def _uids(body: bytes) -> list[str]:
    return [each["0020000D"]["Value"][0] for each in json.loads(body)]


def search(cache: Path, studies: int, rounds: int) -> list[Task]:
    """Ask both archives for studies."""
    with ExitStack() as stack:
        ours = stack.enter_context(_searchable(cache / f"leadglass-{studies}-{VERSION}", studies))
        theirs = stack.enter_context(filled_orthanc(cache / f"orthanc-{studies}-{VERSION}", studies, dicomweb={}))
        servers = [ours, Server(THEIRS, theirs.http)]
        some = [study((number * 7_919 + 11) % studies) for number in range(rounds * SEARCHES + SEARCHES)]

        def by_patient(number: int) -> Asked:
            return Asked(f"{ROOT}/studies?PatientID={some[number].patient_id}", JSON)

        def one_day(number: int) -> Asked:
            return Asked(f"{ROOT}/studies?StudyDate={some[number].date}", JSON)

        def newest(number: int) -> Asked:  # noqa: ARG001 - always the same
            return Asked(f"{ROOT}/studies?limit=100", JSON)

        lines = [server.connect() for server in servers]
        for asked in (by_patient, one_day):
            for number in range(10):
                answers = [sorted(_uids(line.ask("GET", asked(number).path, JSON))) for line in lines]
                if answers[0] != answers[1]:
                    raise RuntimeError("The two do not find the same studies.")
        tasks: list[Task] = []
        for name, least, asked in (
            ("QIDO, studies by PatientID", 10.0, by_patient),
            ("QIDO, 100 studies (ours: the newest)", 10.0, newest),
            ("QIDO, studies of one day", 0.0, one_day),
        ):

            def requests(_server: Server, number: int, asked: Callable[[int], Asked] = asked) -> list[Asked]:
                return [asked(number * SEARCHES + each) for each in range(SEARCHES)]

            tasks.append(_in_turn(Task(name, least), servers, rounds, requests))
        return tasks


@contextmanager
def _searchable(folder: Path, studies: int) -> Generator[Server]:
    with _served(filled_leadglass(folder, studies)) as server:
        yield server


@contextmanager
def _served(lead: Leadglass, *, in_the_clear: bool = False) -> Generator[Server]:
    """Serve the web door; brakes count, and stop nobody."""
    (lead.data / "leadglass.toml").write_text(FREE)
    name = f"bench{time.time_ns()}"
    token = lead.do("token", "create", name, "--role", "service", "--ttl", "12h").strip()
    with lead.serve("--http", "127.0.0.1:0", module=_IN_THE_CLEAR if in_the_clear else "leadglass") as doors:
        if doors.web is None:
            raise RuntimeError("The web door did not open.")
        port = doors.web[1]
        yield Server(OURS_CLEAR, port, token) if in_the_clear else Server(OURS, port, token, lead.data / "ca.pem")


# --- fetching and storing -----------------------------------------------------


def fetch_and_store(folder: Path, count: int, many: int, repeats: int) -> list[Task]:
    """Store a series, fetch it in every way, and one of ``many`` small instances."""
    ct = images.make(folder / "ct", "CT", count=count, side=512, studies=1)
    small = images.make(folder / "small", "small", count=many, side=16, studies=1)
    lead, clear = Leadglass(folder / "ours"), Leadglass(folder / "clear")
    for each in (lead, clear):
        each.folder.mkdir()
        each.do("init")
    multi = images.make_multi_frame(folder / "multi", "frames", frames=count, side=256)
    authority = Authority.create(folder / "other-ca.pem", folder / "other-ca.key")
    certificate = authority.ensure_server_certificate(folder / "other.pem", ["127.0.0.1"])
    with ExitStack() as stack:
        ours = stack.enter_context(_served(lead))
        theirs = stack.enter_context(orthanc(folder / "theirs", {}, dicomweb={}))
        servers = [ours, Server(THEIRS, theirs.http), stack.enter_context(_served(clear, in_the_clear=True))]
        proxy = find_program("nginx")
        if proxy is not None:
            port = stack.enter_context(_nginx(folder, proxy, certificate, theirs.http))
            servers.append(Server(THEIRS_TLS, port, authority=authority.certificate_path))
        tasks = [_store(folder, servers[:3], count, repeats)]
        for each in (lead, clear):
            each.do("import", ct.folder, small.folder, multi.folder)
        lines = [server.connect() for server in servers]
        for path in (*ct.files, *small.files, *multi.files):
            theirs.upload(path)
        series, instances = _series(lines, ct.studies[0])
        _, [large] = _series(lines, multi.studies[0])
        many_small, _ = _series(lines, small.studies[0])
        unit = "ms a frame, as each connection waits for it"
        for task, connections, asked in (
            (Task(f"Metadata of a series of {count}", 4.0), 1, [Asked(f"{series}/metadata", JSON)] * 3),
            (Task("The whole series", 0.7), 1, [Asked(series, PART10)]),
            (
                Task(f"Frames of {count} CT, 526 kB, {CONNECTIONS} connections", 2.0, unit=unit),
                CONNECTIONS,
                [Asked(f"{path}/frames/1", OCTETS) for path in instances],
            ),
            (
                Task(f"Frames of one image of {count}, 131 kB, {CONNECTIONS} connections", 2.0, unit=unit),
                CONNECTIONS,
                [Asked(f"{large}/frames/{number + 1}", OCTETS) for number in range(count)],
            ),
        ):

            def requests(_server: Server, _number: int, asked: list[Asked] = asked) -> list[Asked]:
                return asked

            tasks.append(_in_turn(task, servers, repeats, requests, connections=connections))
        tasks.append(_beside_a_file(stack, folder, ours, many_small, many, repeats, authority, certificate))
    return tasks


@contextmanager
def _nginx(folder: Path, program: Path, certificate: Path, behind: int) -> Generator[int]:
    """Put TLS before a server; connections to it are kept."""
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"""daemon off; error_log stderr crit; pid {folder}/nginx.pid; worker_processes 2;
        events {{}}
        http {{
            access_log off; client_max_body_size 0; client_body_temp_path {folder}; proxy_temp_path {folder};
            fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
            keepalive_requests 100000;
            upstream behind {{ server 127.0.0.1:{behind}; keepalive 16; keepalive_requests 100000; }}
            server {{
                listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate};
                location / {{ proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection "";
                             proxy_buffering off; proxy_request_buffering off; }}
            }}
        }}"""
    )
    with running([program, "-c", folder / "nginx.conf", "-p", folder], log=folder / "nginx.log"):
        wait_until(lambda: is_listening(port), "nginx listens")
        yield port


def _series(lines: Sequence[Line], study_uid: str) -> tuple[str, list[str]]:
    """Give the path of the only series of a study and of its instances; both servers have to have them."""
    told: list[tuple[str, list[str]]] = []
    for line in lines:
        found = json.loads(line.ask("GET", f"{ROOT}/studies/{study_uid}/instances?limit=10000", JSON))
        path = f"{ROOT}/studies/{study_uid}/series/{found[0]['0020000E']['Value'][0]}"
        told.append((path, sorted(f"{path}/instances/{each['00080018']['Value'][0]}" for each in found)))
    if any(each != told[0] for each in told):
        raise RuntimeError("They do not hold the same instances.")
    return told[0]


def _store(folder: Path, servers: Sequence[Server], count: int, repeats: int) -> Task:
    """Send a series in one request, a new one each time."""
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=limit', **JSON}
    bodies: list[Path] = []
    for number in range(repeats + 1):
        load = images.make(folder / f"stow-{number}", "CT", count=count, side=512, studies=1, seed=100 + number)
        body = folder / f"stow-{number}.body"
        parts = [b"--limit\r\nContent-Type: application/dicom\r\n\r\n" + path.read_bytes() for path in load.files]
        body.write_bytes(b"\r\n".join([*parts, b"--limit--\r\n"]))
        bodies.append(body)
        for path in load.files:
            path.unlink()
    return _in_turn(
        Task(f"STOW of {count} CT in one request", 2.0, unit="ms an instance"),
        servers,
        repeats,
        lambda _, number: [Asked(f"{ROOT}/studies", headers, bodies[number])],
        count=count,
    )


_FILE_SERVER: Final = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse, Response
from starlette.routing import Route
async def send(request): return FileResponse(sys.argv[1], media_type="application/dicom+json")
async def ready(request): return Response()
routes = [Route("/file", send), Route("/dicom-web/studies", ready)]
uvicorn.run(Starlette(routes=routes), port=int(sys.argv[2]), ssl_certfile=sys.argv[3],
    log_level="error", access_log=False, http="httptools", loop="asyncio")
"""


def _beside_a_file(
    stack: ExitStack,
    folder: Path,
    ours: Server,
    series: str,
    many: int,
    repeats: int,
    authority: Authority,
    certificate: Path,
) -> Task:
    """Compare metadata with a file that holds the very answer, sent over TLS by the same server software."""
    path = folder / "metadata.json"
    path.write_bytes(ours.connect().ask("GET", f"{series}/metadata", JSON))
    port = free_port()
    command = [sys.executable, "-c", _FILE_SERVER, path, str(port), certificate]
    stack.enter_context(running(command, log=folder / "file.log"))
    wait_until(lambda: is_listening(port), "the server of one file listens")
    other = Server(FILE, port, authority=authority.certificate_path)
    squeezed = {**JSON, "Accept-Encoding": "deflate"}
    task = Task(f"Metadata of a series of {many:,} ({path.stat().st_size / 1e6:.1f} MB), as browsers ask for it", 2.0)
    return _in_turn(
        task,
        [ours, other],
        repeats,
        lambda server, _: [Asked("/file", JSON) if server is other else Asked(f"{series}/metadata", squeezed)] * 3,
    )


# --- told ---------------------------------------------------------------------


def _percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def told(tasks: Sequence[Task], machine: str) -> str:
    """Give the table."""
    lines = [
        machine,
        "",
        "| what | ours | beside | ours, p50 / p95 / p99 | the other | other ÷ ours | asked | |",
        "|---|---|---|--:|--:|--:|--:|---|",
    ]
    for task in tasks:
        for ours, other in task.pairs:
            mine, its = (
                " / ".join(f"{_percentile(task.took[name], part):.1f}" for part in (0.5, 0.95, 0.99))
                for name in (ours, other)
            )
            ratio = task.ratio(ours, other)
            verdict = "" if not task.least else "pass" if ratio >= task.least else "**miss**"
            asked = f"{task.least:g}" if task.least else ""
            lines.append(
                f"| {task.name} ({task.unit}) | {ours} | {other} | {mine} | {its} | {ratio:.2f} | {asked} | {verdict} |"
            )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, and write ``results/web.{json,md}``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--studies", type=int, default=100_000, help="to search in; 0 leaves searching out")
    parser.add_argument("--images", type=int, default=250, help="CT to fetch and store; 0 leaves that out")
    parser.add_argument("--many", type=int, default=1_000, help="instances of the series beside the plain file")
    parser.add_argument("--repeats", type=int, default=7, help="repetitions (7)")
    cache = Path(tempfile.gettempdir()) / "leadglass-finding"
    parser.add_argument("--cache", type=Path, default=cache, help="where filled archives are kept")
    asked = parser.parse_args()
    tasks: list[Task] = []
    if asked.studies:
        tasks += search(asked.cache, asked.studies, asked.repeats)
    if asked.images:
        with tempfile.TemporaryDirectory(prefix="leadglass-web-") as name:
            tasks += fetch_and_store(Path(name), asked.images, asked.many, asked.repeats)
    machine = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, loopback; Leadglass over TLS with a token,"
        f" sealed and audited, {THEIRS} over plain HTTP; {asked.studies:,} studies to search; milliseconds"
    )
    text = told(tasks, machine)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "web.md").write_text(text)
    listed = [{"task": task.name, "unit": task.unit, "ms": task.took} for task in tasks]
    (RESULTS / "web.json").write_text(json.dumps({"machine": machine, "results": listed}, indent=1))
    print(text)


if __name__ == "__main__":
    main()
