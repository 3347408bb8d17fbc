"""Does a web server list its files to anybody, and do they look like DICOM."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.scope import Level
from leadglass.survey.speech import names
from leadglass.survey.speech.http import Response, Talk, page

FOLDERS: Final = ("/", "/dicom/", "/images/", "/dcm/", "/studies/")
"""Where one looks."""

_TITLE: Final = re.compile(
    r"\A\s*(?:index of /|directory listing (?:for|of) \[?/|directory: ?/|listing (?:of|directory) /|\S+ - /)",
    re.IGNORECASE,
)
"""Of nginx, Apache, lighttpd, Python, Tomcat, Jetty, Node's serve-index, and (last) IIS."""

_BARE: Final = re.compile(r"\A(?:<!doctype html>\s*(?:<meta[^>]*>\s*)?)?<pre>\s*<a href=", re.IGNORECASE)
"""Of programs in Go, whose listing has no title."""

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_MOST: Final = 256 * 1024


async def run(visit: Visit) -> None:
    """Look for a listing; count what stands in it, and at level 3 read how at most five files begin."""
    known = visit.known.http
    if known is None:
        return
    async with Talk(visit, in_tls=known.in_tls) as talk:
        for folder in FOLDERS:
            response = await talk.ask("GET", folder, most=_MOST)
            listed = listing(response, folder)
            if listed is None:
                continue
            looking = [name for name in listed if names.looks_like_dicom(unquote(name))]
            read = confirmed = 0
            if visit.gate.scope.level >= Level.OPT_IN:
                read, confirmed = await beginnings(talk, folder, looking)
            visit.report(
                names.rung(len(looking), confirmed),
                {"folder": folder} | dict(names.proof(len(listed), len(looking), confirmed, read)),
                in_tls=known.in_tls,
                not_tested=names.not_tested(read),
            )
            return


def listing(response: Response, folder: str) -> list[str] | None:
    """Give what a page lists, as it stands in its links; None where it is no listing."""
    if response.status != 200:
        return None
    read = page(response)
    title = read.title.strip()
    if not _TITLE.match(title) and title != folder and not (not title and _BARE.match(response.text)):
        return None  # Caddy and rclone have the folder itself for a title
    return names.unique(link for link in read.links if _is_within(link, folder))


def _is_within(link: str, folder: str) -> bool:
    """Say whether a link leads further down; IIS writes them from the root on."""
    if link.startswith("/"):
        return link.startswith(folder) and len(link) > len(folder) and not link.startswith("//")
    return (
        bool(link)
        and not link.startswith(("?", "#", "../", "./..", "./?"))
        and link not in {".", "./", ".."}
        and not _SCHEME.match(link)
        and not link.endswith("../")
    )


async def beginnings(talk: Talk, folder: str, files: Sequence[str]) -> tuple[int, int]:
    """Read how a few files begin; gives how many were read, and how many are DICOM."""
    read = confirmed = 0
    for name in files[: names.MOST_FILES]:
        path = talk.here(folder, name)
        if path is None:
            continue
        response = await talk.ask(
            "GET",
            path,
            act=f"GET the first {names.BEGINNING} bytes of a file",
            headers={"Range": f"bytes=0-{names.BEGINNING - 1}"},
            most=names.BEGINNING,
        )
        if response.status in {200, 206}:
            read += 1
            confirmed += names.is_dicom(response.body)
    return read, confirmed


def _applies(known: Known, _port: int) -> bool:
    return known.http is not None


CHECK = Check(
    id="directory-listing",
    title="A web server lists its files to anybody.",
    level=Level.PROVE,
    sends="GET of five usual folders; at level 3 the first 132 bytes of at most five files.",
    fixes=("web-no-listing", "firewall-web"),
    controls=("HIPAA 164.312(a)(1)", "GDPR 32(1)(b)", "NIST CSF PR.DS-01", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
