"""Answers that cost who reads them more than who sends them: each is bounded, and read once."""

import struct
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from leadglass.survey.check import MOST_ASKED
from leadglass.survey.checks import open_store, web_credentials
from leadglass.survey.checks.http_identify import CHECK as IDENTIFY
from leadglass.survey.checks.volume import bucket
from leadglass.survey.gate import Closed
from leadglass.survey.scope import Level
from leadglass.survey.speech.rpc import Reader
from leadglass.survey.speech.smb import read_entries
from leadglass.survey.speech.tls import read_certificate
from tests.survey.hostile.peers import certificate
from tests.survey.test_hostile_web import answering
from tests.survey.visiting import visit


def _answer(status: bytes, kind: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, kind, len(body)) + body


def test_blanks_in_a_list_of_webdav_are_looked_at_once(tmp_path: Path) -> None:
    """A pattern that tries each way to part them takes days for this."""
    said = _answer(b"207 Multi-Status", b"application/xml", b"<?xml?><href>" + b" " * 200_000)
    with answering(lambda _: said) as (port, _):
        seen = visit(tmp_path, port, (IDENTIFY, open_store.WEBDAV))
    assert seen.finding("webdav-open").proof["names"] == 0


def test_a_store_whose_lists_lead_to_lists_is_left(tmp_path: Path) -> None:
    names = count()

    def answer(_: bytes) -> bytes:
        names_now = b"".join(b"<Bucket><Name>bucket-%d</Name></Bucket>" % next(names) for _ in range(4))
        return _answer(b"200 OK", b"application/xml", b"<?xml?><ListAllMyBucketsResult>" + names_now)

    with answering(answer) as (port, seen):
        visit(tmp_path, port, (IDENTIFY, open_store.BUCKET))
    assert 0 < len(seen) < MOST_ASKED


@pytest.mark.parametrize("again", [b"<input type=password name=p2>", b"<input type=password name=p2 value=x>"])
def test_a_form_that_sets_a_password_is_not_sent(again: bytes, tmp_path: Path) -> None:
    page = b"<form method=post action=/make><input name=user><input type=password name=p1>" + again + b"</form>"
    with answering(lambda _: _answer(b"200 OK", b"text/html", page)) as (port, seen):
        visit(tmp_path, port, (IDENTIFY, web_credentials.CHECK), Level.OPT_IN)
    assert seen
    assert not [each for each in seen if each.startswith(b"POST")]


def test_names_that_lie_upon_each_other_take_no_more_than_names_do() -> None:
    entry = struct.pack("<I52sII", 64, b"", 0, 1 << 31)
    found = read_entries(entry * 2_000)
    assert len(found) == 2_000
    assert max(len(each.name) for each in found) <= 255


def test_words_are_read_one_after_the_other_and_not_beyond_the_end() -> None:
    reader = Reader(bytes(256 * 1024))
    for _ in range(64 * 1024):
        assert reader.word() == 0
    with pytest.raises(Closed):
        reader.word()
    with pytest.raises(Closed):
        Reader(b"\xff\xff\xff\xff" + bytes(8)).opaque()


@pytest.mark.parametrize("count", [10**9, 10**4_000])
def test_how_much_there_is_has_an_end(count: int) -> None:
    assert bucket(count) == "1000000000 or more"


def test_a_spoiled_certificate_is_read_or_not(tmp_path: Path) -> None:
    certificate(tmp_path)
    made = x509.load_pem_x509_certificate((tmp_path / "certificate.pem").read_bytes())
    der = made.public_bytes(Encoding.DER)
    for at in range(len(der)):
        for value in (0x00, 0x05, 0x1F, 0x80, 0xFF):
            read_certificate(der[:at] + bytes((value,)) + der[at + 1 :], datetime.now(UTC), ("127.0.0.1", "a.example"))
