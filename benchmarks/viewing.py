"""Viewing: the first image and the whole of a CT in a real browser, Leadglass against Orthanc with the same viewer.

Rule: the same prepared site, the same settings of the viewer, the same browser,
TLS and HTTP/1.1 on both sides, a fresh profile each time, in turn. Ours as it
comes: a session, every request decided and on record, objects sealed. Theirs as
Debian ships it, open, behind nginx, which also serves the site, compressed as the
build left it. The quick look, which they have not, is timed by itself.

    python -m benchmarks.viewing                          250 slices of 512 x 512, medians of 5
    python -m benchmarks.viewing --slices 20 --repeats 1  does it run at all
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser as Chromium

from benchmarks.dimse import RESULTS
from leadglass.crypto.ca import Authority
from leadglass.doors.pages.viewer.site import read_site
from tests.doors.pages.browser import GOOD, Browser, add_person
from tests.peers import phantoms
from tests.peers.browser import Visit, chromium, sign_in, visiting
from tests.peers.orthanc import orthanc
from tests.peers.running import find_program, free_port, is_listening, running, wait_until
from tests.peers.viewer import LIT
from tests.peers.web import Web, serving

OURS: Final = "Leadglass"
THEIRS: Final = "Orthanc behind nginx"
AIM: Final = 1.0
"""Ours over theirs at most, for both."""
LOOK: Final = 1.0
"""Seconds until the quick look shows an image, at most."""

FREE: Final = """[brakes.people]
queries_per_minute = 100000
listed_per_hour = 1000000
listed_per_day = 1000000
studies_per_hour = 1000000
studies_per_day = 1000000
gib_per_hour = 100000
gib_per_day = 100000
"""
CAME: Final = """() => [...new Map(performance.getEntriesByType('resource')
  .filter(each => each.name.includes('/frames/') && each.responseEnd && each.transferSize)
  .map(each => [each.name, each.responseEnd])).values()]"""
"""When each frame had come, in milliseconds."""


DRAWN: Final = """() => { const image = document.getElementById('picture');
  return image !== null && image.complete && image.naturalWidth > 0; }"""
"""Whether the quick look shows its image."""


@dataclass
class Seen:
    """Seconds until the first image was in sight, and until the last frame had come; one for each time."""

    first: list[float] = field(default_factory=list[float])
    whole: list[float] = field(default_factory=list[float])
    look: list[float] = field(default_factory=list[float])
    """Until the quick look showed its image."""


def view(visit: Visit, study: str, slices: int, seen: Seen | None) -> None:
    """Open a study and wait for all of it; the browser's own clock counts, from where it leaves for the page."""
    page = visit.page
    page.add_init_script("performance.setResourceTimingBufferSize(5000)")
    page.goto(f"/viewer/viewer?StudyInstanceUIDs={study}", wait_until="commit")
    page.wait_for_function(LIT, arg=1, polling=50)
    first = float(page.evaluate("performance.now()")) / 1000
    # The viewer reads a frame to its end and then lets go of the request: only the page's own list says that it came.
    page.wait_for_function(f"least => ({CAME})().length >= least", arg=slices, polling=100, timeout=180_000)
    whole = float(page.evaluate(f"() => Math.max(...({CAME})())")) / 1000
    if visit.violations:
        raise RuntimeError(f"The policy forbade something: {visit.violations[:2]}")
    if seen is not None:
        seen.first.append(first)
        seen.whole.append(whole)


def look(visit: Visit, study: str, seen: Seen | None) -> None:
    """Open a study in the quick look and wait for its image."""
    visit.page.goto(f"/look/{study}", wait_until="commit")
    visit.page.wait_for_function(DRAWN, polling=10)
    if seen is not None:
        seen.look.append(float(visit.page.evaluate("performance.now()")) / 1000)


@contextmanager
def _beside(folder: Path, web: Web, study: str, behind: int, certificate: Path) -> Generator[str]:
    """Serve our site, our page and what it loads by nginx, before an Orthanc; gives the address."""
    site = read_site()
    nginx = find_program("nginx")
    if site is None or nginx is None:
        sys.exit("This needs nginx, and a build with the viewer.")
    with Browser(web) as reader:
        reader.sign_in("reader")
        text = reader.get(f"/viewer/viewer?StudyInstanceUIDs={study}").text
        static = folder / "static"
        static.mkdir()
        for name in ("viewer.js", "viewer.css", "leadglass.svg"):
            (static / name).write_bytes(reader.client.get(f"/static/{name}").content)
    (folder / "viewer.html").write_text(text, encoding="utf-8")
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""  # the folder is for its owner alone
    lies = next(iter(site.files.values())).path.parent
    while not (lies / "site.json").is_file():
        lies = lies.parent
    (folder / "nginx.conf").write_text(
        f"""{user} daemon off; error_log stderr crit; pid {folder}/nginx.pid; worker_processes 2;
        events {{}}
        http {{
            access_log off; client_max_body_size 0; client_body_temp_path {folder}; proxy_temp_path {folder};
            fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
            keepalive_requests 100000; sendfile on; tcp_nopush on; default_type application/octet-stream;
            types {{ text/html html; text/css css; text/javascript js; application/wasm wasm; font/woff2 woff2;
                     image/png png; image/svg+xml svg; }}
            upstream behind {{ server 127.0.0.1:{behind}; keepalive 16; keepalive_requests 100000; }}
            server {{
                listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate};
                location = /viewer/viewer {{ default_type text/html; alias {folder}/viewer.html; }}
                location {site.base} {{ alias {lies}/; gzip_static always;
                                        add_header Cache-Control "private, max-age=31536000, immutable"; }}
                location /static/ {{ alias {static}/; }}
                # Orthanc's plugin answers 400 to an Accept that names several transfer syntaxes.
                location ~ ^/dicom-web/.*/frames/ {{ proxy_pass http://behind; proxy_http_version 1.1;
                    proxy_set_header Connection ""; proxy_buffering off;
                    proxy_set_header Accept
                        'multipart/related; type="application/octet-stream"; transfer-syntax=*'; }}
                location /dicom-web/ {{ proxy_pass http://behind; proxy_http_version 1.1;
                                        proxy_set_header Connection ""; proxy_buffering off; gzip on;
                                        gzip_types application/dicom+json; }}
            }}
        }}"""
    )
    with running([nginx, "-c", folder / "nginx.conf", "-p", folder], log=folder / "nginx.log"):
        wait_until(lambda: is_listening(port), "nginx listens")
        yield f"https://127.0.0.1:{port}"


def measure(folder: Path, slices: int, size: int, repeats: int) -> dict[str, Seen]:
    """Open the same CT by turns, a fresh profile each time."""
    files = folder / "in"
    files.mkdir()
    study = phantoms.ct(files, slices=slices, size=size, noise=40).uid
    seen = {OURS: Seen(), THEIRS: Seen()}
    with ExitStack() as stack:
        web = stack.enter_context(serving(folder / "ours", settings=FREE))
        web.leadglass.do("import", files)
        add_person(web, "reader")
        other = stack.enter_context(orthanc(folder / "theirs", {}, dicomweb={}))
        for path in sorted(files.iterdir()):
            other.upload(path)
        authority = Authority.create(folder / "other-ca.pem", folder / "other-ca.key")
        certificate = authority.ensure_server_certificate(folder / "other.pem", ["127.0.0.1"])
        beside = stack.enter_context(_beside(folder, web, study, other.http, certificate))
        browser = stack.enter_context(chromium(web.certificate, certificate))
        for number in range(repeats + 1):  # the first time counts for nobody
            for name, url in ((OURS, web.url), (THEIRS, beside)):
                _once(browser, url, study, slices, is_ours=name == OURS, seen=seen[name] if number else None)
    return seen


def _once(browser: Chromium, url: str, study: str, slices: int, *, is_ours: bool, seen: Seen | None) -> None:
    with visiting(browser, url) as visit:
        if is_ours:
            sign_in(visit, "reader", GOOD)
        else:
            visit.page.goto("/static/leadglass.svg")  # a connection each is open before the time begins
        view(visit, study, slices, seen)
    if is_ours:
        with visiting(browser, url) as visit:
            sign_in(visit, "reader", GOOD)
            look(visit, study, seen)


def main() -> None:
    read = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    read.add_argument("--slices", type=int, default=250)
    read.add_argument("--size", type=int, default=512)
    read.add_argument("--repeats", type=int, default=5)
    said = read.parse_args()
    with tempfile.TemporaryDirectory(prefix="leadglass-viewing-") as folder:
        seen = measure(Path(folder), said.slices, said.size, said.repeats)
    median = {
        name: {"first": statistics.median(each.first), "whole": statistics.median(each.whole)}
        for name, each in seen.items()
    }
    lines = [
        f"# A CT of {said.slices} slices of {said.size} x {said.size} in the viewer: cold, medians of {said.repeats}",
        "",
        f"| | {OURS} | {THEIRS} | ours / theirs | aim | |",
        "|---|---|---|---|---|---|",
    ]
    for what, words in (("first", "first image, s"), ("whole", "all frames, s")):
        ours, theirs = median[OURS][what], median[THEIRS][what]
        ratio = ours / theirs
        lines.append(
            f"| {words} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} | {AIM} | {'yes' if ratio <= AIM else 'no'} |"
        )
    quick = statistics.median(seen[OURS].look)
    lines.append(f"| quick look, first image, s | {quick:.2f} | | | {LOOK} s | {'yes' if quick < LOOK else 'no'} |")
    text = "\n".join([*lines, "", f"{platform.machine()}, Python {platform.python_version()}", ""])
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "viewing.md").write_text(text, encoding="utf-8")
    raw = {name: {"first": each.first, "whole": each.whole, "look": each.look} for name, each in seen.items()}
    (RESULTS / "viewing.json").write_text(json.dumps(raw, indent=1), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
