"""NFS, WebDAV and buckets: what is listed to anybody is counted and forgotten."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.survey.check import Known
from leadglass.survey.checks import directory_listing, http_identify, nfs_exports, open_store
from leadglass.survey.gate import Closed
from leadglass.survey.scope import Level
from tests.survey.apache import apache
from tests.survey.nginx import nginx
from tests.survey.samba import CANARY as IMAGE
from tests.survey.samba import images
from tests.survey.visiting import visit

CANARY = "CANARYSTORE"
WEB = (http_identify.CHECK, open_store.WEBDAV, open_store.BUCKET)
LISTED = (http_identify.CHECK, directory_listing.CHECK)


def _always(_known: Known, _port: int) -> bool:
    return True


NFS = (replace(nfs_exports.CHECK, applies=_always),)
"""On whatever port the test has."""


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(4, "big") + raw + bytes(-len(raw) % 4)


def _exports(*exports: tuple[str, tuple[str, ...]]) -> bytes:
    one, none = (1).to_bytes(4, "big"), bytes(4)
    said = b""
    for path, groups in exports:
        said += one + _text(path) + b"".join(one + _text(group) for group in groups) + none
    return said + none


@contextmanager
def rpc(exports: bytes) -> Generator[int]:
    """Run a portmapper and a mountd in one, on one port: it says that mountd is where it is."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(listener.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line, line.makefile("rb") as file:
                while head := file.read(4):
                    message = file.read(int.from_bytes(head, "big") & 0x7FFF_FFFF)
                    is_mount = int.from_bytes(message[12:16], "big") == 100_005
                    results = exports if is_mount else port.to_bytes(4, "big")
                    reply = message[:4] + (1).to_bytes(4, "big") + bytes(16) + results
                    half = len(reply) // 2  # in two fragments, as RFC 5531 11 allows
                    line.sendall(half.to_bytes(4, "big") + reply[:half])
                    line.sendall((0x8000_0000 | len(reply) - half).to_bytes(4, "big") + reply[half:])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield port
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    ("exports", "rung", "everybody"),
    [
        (_exports((f"/srv/{CANARY}", ()), (f"/x/{CANARY}", (CANARY,))), {"nfs-exports": "E4"}, 1),
        (_exports((f"/srv/{CANARY}", ("192.0.2.1", "*"))), {"nfs-exports": "E4"}, 1),
        (_exports((f"/srv/{CANARY}", (f"{CANARY}.example.org",))), {"nfs-exports": "E1"}, 0),
        (_exports(), {}, 0),
    ],
    ids=["no names", "a star", "named machines", "nothing"],
)
def test_exports_for_everybody_are_told_from_those_for_machines(
    exports: bytes, rung: dict[str, str], everybody: int, tmp_path: Path
) -> None:
    with rpc(exports) as port:
        seen = visit(tmp_path, port, NFS)
    assert seen.rungs == rung
    if rung:
        assert seen.finding("nfs-exports").proof["to everybody"] == everybody
    assert CANARY not in seen.said


@pytest.mark.parametrize("results", [b"", b"\0\0\0\1\xff\xff\xff\xff", b"\0\0\0\1" * 3])
def test_a_broken_list_of_exports_proves_nothing(results: bytes) -> None:
    with pytest.raises(Closed):
        nfs_exports.count(results)


_DAV = "".join(f"<D:response><D:href>/dicom/{CANARY}{number}.dcm</D:href></D:response>" for number in range(6))
_WEBDAV = (
    "location /dicom/ { default_type application/xml; "
    f"if ($request_method = PROPFIND) {{ return 207 '<D:multistatus><D:href>/dicom/</D:href>{_DAV}</D:multistatus>'; }}"
    " return 403; }"
)
_BUCKET = (
    "location = / { default_type application/xml; return 200 "
    f'\'<?xml version="1.0"?><ListBucketResult><Name>{CANARY}</Name><Contents><Key>{CANARY}/1.dcm</Key></Contents>'
    f"<Contents><Key>{CANARY}.txt</Key></Contents></ListBucketResult>'; }}"
)


@pytest.mark.parametrize(
    ("lines", "check", "counts"),
    [(_WEBDAV, "webdav-open", (6, 6)), (_BUCKET, "bucket-open", (2, 1))],
    ids=["WebDAV", "bucket"],
)
def test_a_store_that_lists_its_files_is_counted(
    lines: str, check: str, counts: tuple[int, int], tmp_path: Path
) -> None:
    with nginx(tmp_path / "nginx", lines) as port:
        seen = visit(tmp_path, port, WEB, Level.OPT_IN)
    assert seen.rungs == {check: "E4"}
    proof = seen.finding(check).proof
    assert (proof["names"], proof["look like DICOM"]) == counts
    assert "are DICOM" not in proof
    assert CANARY not in seen.said


@pytest.mark.parametrize("answer", ["return 401;", "return 200 'a page';", "default_type text/xml; return 200 '<a/>';"])
def test_a_web_server_that_lists_nothing_is_no_store(answer: str, tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", f"location / {{ {answer} }}") as port:
        seen = visit(tmp_path, port, WEB, Level.OPT_IN)
    assert seen.rungs == {}


@pytest.mark.parametrize(
    ("lines", "rungs"),
    [
        ("Dav On\nOptions -Indexes\nRequire all granted", {"webdav-open": "E5"}),
        ("Options +Indexes\nRequire all granted", {"directory-listing": "E5"}),
        ("Dav On\nOptions +Indexes\nRequire all granted", {"directory-listing": "E5", "webdav-open": "E5"}),
        ("Options -Indexes\nRequire all granted", {}),
        ("Dav On\nOptions +Indexes\nAuthType Basic\nAuthName images\nAuthUserFile /dev/null\nRequire valid-user", {}),
    ],
    ids=["WebDAV", "listing", "both", "neither", "with a login"],
)
def test_apache_that_gives_its_files_to_anybody_is_told_from_apache_that_does_not(
    lines: str, rungs: dict[str, str], tmp_path: Path
) -> None:
    with images() as files, apache(tmp_path / "apache", files, lines) as port:
        seen = visit(tmp_path, port, (*WEB, directory_listing.CHECK), Level.OPT_IN)
    assert seen.rungs == rungs
    for each in seen.outcome.findings:
        assert (each.proof["look like DICOM"], each.proof["are DICOM"]) in {(7, 5), (8, 5)}
    assert IMAGE not in seen.said
    assert not seen.outcome.not_tested


def test_a_store_that_lists_its_buckets_is_looked_into_and_keys_with_blanks_are_asked_for_as_such(
    tmp_path: Path,
) -> None:
    keys = "".join(f"<Contents><Key>{IMAGE} {number}.dcm</Key></Contents>" for number in range(7))
    xml = 'default_type application/xml; return 200 \'<?xml version="1.0"?>'
    with images() as files:
        lines = (
            f"location = / {{ {xml}<ListAllMyBucketsResult><Buckets><Bucket><CreationDate>x</CreationDate>"
            f"<Name>{CANARY.lower()}</Name></Bucket></Buckets></ListAllMyBucketsResult>'; }}"
            f"location = /{CANARY.lower()}/ {{ {xml}<ListBucketResult><IsTruncated>true</IsTruncated>{keys}"
            "</ListBucketResult>'; }"
            f"location /{CANARY.lower()}/ {{ alias {files}/; }}"
        )
        with nginx(tmp_path / "nginx", lines) as port:
            seen = visit(tmp_path, port, WEB, Level.OPT_IN)
    assert seen.rungs == {"bucket-open": "E5"}
    found = seen.finding("bucket-open")
    assert found.proof == {
        "by": "a bucket that the server lists to anybody",
        "names": 7,
        "look like DICOM": 7,
        "beginnings read": 5,
        "are DICOM": 5,
    }
    assert "Names beyond the first page of the list." in found.not_tested
    for mark in (CANARY, CANARY.lower(), IMAGE):
        assert mark not in seen.said


@pytest.mark.parametrize(
    ("page", "count"),
    [
        ('<title>/</title><a href="./a.dcm"></a><a href="?sort=name"></a><a href=".."></a>', 1),
        ('<title>192.0.2.1 - /</title><A HREF="/a.dcm"></A><A HREF="/b/"></A><A HREF="/"></A>', 2),
        ('<!doctype html>\n<meta name="viewport" content="x">\n<pre>\n<a href="a.dcm">a</a>', 1),
        ('<title>Directory Listing For [/]</title><a href="/a.dcm"></a>', 1),
        ('<title>A clinic</title><a href="a.dcm"></a>', 0),
        ('<title>/dicom/</title><a href="a.dcm"></a>', 0),
    ],
    ids=["Caddy, rclone", "IIS", "Go", "Tomcat", "a page", "another folder"],
)
def test_listings_of_other_makers_are_known_by_how_they_begin(page: str, count: int, tmp_path: Path) -> None:
    line = page.replace("\n", " ").replace("$", "")
    with nginx(tmp_path / "nginx", f"location = / {{ default_type text/html; return 200 '{line}'; }}") as port:
        seen = visit(tmp_path, port, LISTED)
    assert seen.rungs == ({"directory-listing": "E4"} if count else {})
    if count:
        assert seen.finding("directory-listing").proof["names"] == count
