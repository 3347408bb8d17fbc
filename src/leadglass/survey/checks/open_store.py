"""Are files listed to anybody by WebDAV, or by a bucket of object storage."""

import re
from collections import deque
from html import unescape
from typing import Final
from urllib.parse import quote, unquote

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.checks.directory_listing import beginnings
from leadglass.survey.scope import Level
from leadglass.survey.speech import names
from leadglass.survey.speech.http import Response, Talk

_HREF: Final = re.compile(r"<(?:[A-Za-z0-9]++:)?href\s*+>\s*+([^<]{1,2000}+)</", re.IGNORECASE)
_KEY: Final = re.compile(r"<Key>([^<]{1,2000})</Key>")
_BUCKET: Final = re.compile(r"<Bucket>\s*(?:<[A-Z]\w+>[^<]*</\w+>\s*)*?<Name>([^<]{3,63})</Name>")
_TRUNCATED: Final = "<IsTruncated>true<"
_BUCKETS: Final = ("/dicom/", "/images/", "/pacs/")
_LOOKED: Final = 4
"""Buckets of a list that are looked into, until one gives its keys."""

_MOST: Final = 256 * 1024
_ASKED: Final = b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/></prop></propfind>'
_FOLDERS: Final = ("/", "/dicom/", "/webdav/", "/dav/")


async def run_webdav(visit: Visit) -> None:
    """Ask for the top of usual folders by PROPFIND (RFC 4918 9.1)."""
    known = visit.known.http
    if known is None:
        return
    async with Talk(visit, in_tls=known.in_tls) as talk:
        for folder in _FOLDERS:
            answer = await talk.ask(
                "PROPFIND",
                folder,
                headers={"Depth": "1", "Content-Type": "application/xml"},
                body=_ASKED,
                most=_MOST,
            )
            if answer.status != 207 or not _is_xml(answer):
                continue
            listed = names.unique(unescape(each) for each in _HREF.findall(answer.text))
            found = [each for each in listed if not each.endswith("/")]
            await _report(visit, talk, folder, found, "WebDAV", in_tls=known.in_tls)
            return


async def run_bucket(visit: Visit) -> None:
    """Ask for the top: an open bucket answers with a list of its keys, an open store with one of its buckets."""
    known = visit.known.http
    if known is None:
        return
    waiting = deque(("/", *_BUCKETS))
    own = set(waiting)
    async with Talk(visit, in_tls=known.in_tls) as talk:
        while waiting:
            folder = waiting.popleft()
            act = "" if folder in own else "GET a bucket that the server lists"
            answer = await talk.ask("GET", folder, act=act, most=_MOST)
            if answer.status != 200 or not _is_xml(answer):
                continue
            begin = answer.text[:2_000]
            if "<ListAllMyBucketsResult" in begin and folder == "/":  # who lists more below it has no end
                found = [f"/{quote(unescape(each))}/" for each in names.unique(_BUCKET.findall(answer.text), _LOOKED)]
                waiting = deque(each for each in dict.fromkeys((*found, *waiting)) if each != "/")
            elif "<ListBucketResult" in begin:
                # keys are text and no addresses: a blank in one is to be written as such
                keys = names.unique(quote(unescape(each)) for each in _KEY.findall(answer.text))
                what = "a bucket" if folder in own else "a bucket that the server lists to anybody"
                await _report(
                    visit, talk, folder if folder in own else "", keys, what,
                    in_tls=known.in_tls, asked=folder, is_whole=_TRUNCATED not in answer.text,
                )  # fmt: skip
                return


async def _report(
    visit: Visit,
    talk: Talk,
    folder: str,
    found: list[str],
    what: str,
    *,
    in_tls: bool,
    asked: str = "",
    is_whole: bool = True,
) -> None:
    looking = [name for name in found if names.looks_like_dicom(unquote(name))]
    read = confirmed = 0
    if visit.gate.scope.level >= Level.OPT_IN:
        read, confirmed = await beginnings(talk, asked or folder, looking)
    proof: dict[str, str | int] = {"by": what}
    if folder:
        proof["folder"] = folder
    visit.report(
        names.rung(len(looking), confirmed),
        proof | dict(names.proof(len(found), len(looking), confirmed, read)),
        in_tls=in_tls,
        not_tested=names.not_tested(read) + (() if is_whole else ("Names beyond the first page of the list.",)),
    )


def _is_xml(answer: Response) -> bool:
    return answer.media_type in {"text/xml", "application/xml"} or answer.body.lstrip().startswith(b"<?xml")


def _applies(known: Known, _port: int) -> bool:
    return known.http is not None


_FIXES: Final = ("share-require-login", "firewall-shares")
_CONTROLS: Final = ("HIPAA 164.312(a)(1)", "GDPR 32(1)(b)", "NIST CSF PR.DS-01", "IEC 80001-2-2 NAUT")

WEBDAV: Final = Check(
    id="webdav-open",
    title="WebDAV lists its files to anybody.",
    level=Level.PROVE,
    sends="PROPFIND of four usual folders; at level 3 the first 132 bytes of at most five files.",
    fixes=_FIXES,
    controls=_CONTROLS,
    applies=_applies,
    run=run_webdav,
)
BUCKET: Final = Check(
    id="bucket-open",
    title="A bucket lists its files to anybody.",
    level=Level.PROVE,
    sends="GET of the top, of three usual buckets and of at most four that the server lists; at level 3 the first "
    "132 bytes of at most five files.",
    fixes=_FIXES,
    controls=_CONTROLS,
    applies=_applies,
    run=run_bucket,
)
