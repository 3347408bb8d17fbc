"""Multipart bodies: read as Python's e-mail parser reads them, in whatever blocks they come, and written."""

import re
from email.parser import BytesParser
from email.policy import HTTP
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.doors.dicomweb.multipart import (
    Malformed,
    MultipartLimits,
    MultipartReader,
    MultipartWriter,
    PartBegins,
    PartData,
    PartEnds,
    TooManyParts,
    boundary_of,
    parse_content_type,
)

LIMITS = MultipartLimits()
Parts = list[tuple[dict[str, str], bytes]]


def taken_apart(body: bytes, boundary: str, cuts: list[int], limits: MultipartLimits = LIMITS) -> Parts:
    """Read a body that is cut into blocks at some places."""
    reader = MultipartReader(boundary, limits)
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    blocks = [body[start:end] for start, end in pairwise(places)]
    found: Parts = []
    open_part: tuple[dict[str, str], list[bytes]] | None = None
    for events in (*map(reader.feed, blocks), reader.finish()):
        for event in events:
            match event:
                case PartBegins(headers):
                    assert open_part is None, "a part began before the last one ended"
                    open_part = (dict(headers), [])
                case PartData(data):
                    assert data
                    assert open_part is not None
                    open_part[1].append(data)
                case PartEnds():
                    assert open_part is not None
                    found.append((open_part[0], b"".join(open_part[1])))
                    open_part = None
    assert open_part is None
    assert reader.is_closed
    return found


def as_email_reads(body: bytes, boundary: str) -> Parts:
    """Read a body with Python's e-mail parser."""
    head = f'Content-Type: multipart/related; boundary="{boundary}"\r\n\r\n'.encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    found: Parts = []
    for part in message.iter_parts():
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        found.append(({name.lower(): str(value) for name, value in part.items()}, data))
    return found


BOUNDARIES = st.sampled_from(["b", "--", "-b-", "boundary", "a b", "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"])
# What a boundary is made of comes often, so that data often begins like one, ends like one, or holds most of one.
CRUMBS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"b", b"-b", b"boundar", b"y", b" ", b"a", b"\0", b"\xff"]),
    max_size=12,
).map(b"".join)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "content-location", "x-note"]),
    st.text("abc/.;=-0", min_size=1, max_size=12).map(str.strip).filter(bool),
)


def is_data(data: bytes, boundary: str) -> bool:
    """Say whether bytes can be a part's: they hold no boundary, and e-mail's lines of their own end as ours do."""
    return f"--{boundary}".encode() not in data


@given(
    BOUNDARIES, st.lists(st.tuples(HEADERS, CRUMBS), min_size=1, max_size=4), CRUMBS, st.lists(st.integers(0, 10**6))
)
def test_any_split_of_the_same_bytes_gives_the_parts_that_were_written(
    boundary: str, parts: Parts, around: bytes, cuts: list[int]
) -> None:
    if not all(is_data(data, boundary) for data in [around, *(data for _, data in parts)]):
        return
    body = around + b"\r\n" if around else b""
    for headers, data in parts:
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        body += f"--{boundary}\r\n{fields}\r\n".encode() + data + b"\r\n"
    body += f"--{boundary}--\r\n".encode() + around
    assert taken_apart(body, boundary, cuts) == parts
    assert taken_apart(body, boundary, list(range(len(body)))) == parts


_BOUNDARY_LINE = re.compile(rb"(\A|\r\n)--b(--)?[ \t]*(\r\n|\Z)")

# The e-mail parser takes lone CR and LF for ends of lines, which bytes of an image are not: it sees the others.
LINES = st.lists(
    st.sampled_from([b"\r\n", b"-", b"--", b"b", b"-b", b"--b", b"--bb", b" --b", b"a", b" ", b"\t"]), max_size=14
).map(b"".join)


@given(st.lists(LINES, min_size=1, max_size=4), st.lists(st.integers(0, 10**6), max_size=8))
def test_what_looks_almost_like_a_boundary_is_read_as_the_e_mail_parser_reads_it(
    datas: list[bytes], cuts: list[int]
) -> None:
    body = b"".join(b"--b\r\nx-n: 1\r\n\r\n" + data + b"\r\n" for data in datas) + b"--b--\r\n"
    if any(_BOUNDARY_LINE.search(data) for data in datas):
        return  # what follows a real boundary are no headers
    assert taken_apart(body, "b", cuts) == as_email_reads(body, "b")


FORMS: list[tuple[bytes, Parts]] = [
    (b"--b\r\n\r\n\r\n--b--", [({}, b"")]),
    (b"--b\r\nA: 1\r\n\r\n--b--", [({"a": "1"}, b"")]),
    (b"--b \t \r\n\r\nx\r\n--b-- \t\r\nrest", [({}, b"x")]),
    (b"before\r\n--b\r\n\r\nx\r\n--b--\r\n", [({}, b"x")]),
    (b"\r\n--b\r\n\r\nx\r\n--b--", [({}, b"x")]),
    (b"--b\r\nA: 1\r\n  2\r\nB:\r\n\r\nx\r\n--b--", [({"a": "1 2", "b": ""}, b"x")]),
    (b"--b\r\n\r\n\r\nx\r\n\r\n--b--", [({}, b"\r\nx\r\n")]),
    (b"--b--\r\n", []),
]


@pytest.mark.parametrize(("body", "parts"), FORMS)
def test_forms_that_the_standard_allows_are_read(body: bytes, parts: Parts) -> None:
    assert taken_apart(body, "b", list(range(len(body)))) == parts


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "does not occur"),
        (b"--c\r\n\r\nx\r\n--c--", "does not occur"),
        (b"--b\n\nx\n--b--\n", "LF alone"),
        (b"\n--b\n\nx\n--b--\n", "LF alone"),
        (b"--b\r\n\r\nx\r\n--b\n", "LF alone"),
        (b"--b\r\n\r\nx\r\n--b\r\n", "cut off"),
        (b"--b\r\n\r\nx", "cut off"),
        (b"--b\r\n\r\nx\r\n--b-", "cut off"),
        (b"--b\r\nA: 1", "cut off"),
        (b"--b\r\nno header\r\n\r\nx\r\n--b--", "no header"),
        (b"--b\r\nA b: 1\r\n\r\nx\r\n--b--", "no header"),
        (b"--b\r\nA: 1\nB: 2\r\n\r\nx\r\n--b--", "control character"),
        (b"--b\r\nA: 1\r\na: 2\r\n\r\nx\r\n--b--", "twice"),
        (b"--b\r\n" + b"A: " + b"x" * (1 << 20) + b"\r\n\r\n\r\n--b--", "longer than 16,384"),
        (b"--b\r\n" + b"".join(b"A%d: x\r\n" % n for n in range(40)) + b"\r\n\r\n--b--", "more than 32 headers"),
        (b"--b" + b" " * 1000 + b"\r\n\r\nx\r\n--b--", "blanks"),
        (b"x" * (1 << 17), "before the first boundary"),
        (b"--b\r\n\r\nx\r\n--b--\r\n" + b"x" * (1 << 17), "after the last boundary"),
    ],
)
@pytest.mark.parametrize("size", [1 << 20, 61])
def test_what_is_no_multipart_body_is_refused_with_what_was_wrong_and_where(body: bytes, what: str, size: int) -> None:
    with pytest.raises(Malformed, match=what) as caught:
        taken_apart(body, "b", list(range(0, len(body), size)))
    assert "byte" in str(caught.value)


def test_more_parts_than_are_taken_are_refused() -> None:
    body = b"--b\r\n\r\n\r\n" * 11 + b"--b--"
    with pytest.raises(TooManyParts, match="more than 10 parts"):
        taken_apart(body, "b", [], MultipartLimits(parts=10))


def test_a_reader_keeps_no_more_of_a_large_part_than_could_be_a_boundary() -> None:
    reader = MultipartReader("b" * 70, LIMITS)
    list(reader.feed(b"--" + b"b" * 70 + b"\r\n\r\n"))
    block = b"\r\n--" + b"b" * 69 + b"x" * (1 << 16)
    given_back = sum(len(event.data) for _ in range(50) for event in reader.feed(block) if isinstance(event, PartData))
    assert 0 <= 50 * len(block) - given_back < 100


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        (
            'multipart/related; type="application/dicom"; boundary=abc',
            "multipart/related",
            {"type": "application/dicom", "boundary": "abc"},
        ),
        (
            "Multipart/Related;boundary=abc;Type=application/dicom",
            "multipart/related",
            {"boundary": "abc", "type": "application/dicom"},
        ),
        (
            'multipart/related ; boundary="a b" ; start="<1@x>";',
            "multipart/related",
            {"boundary": "a b", "start": "<1@x>"},
        ),
        ('a/b; x="q\\"uote\\\\d"', "a/b", {"x": 'q"uote\\d'}),
        (
            "application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
            "application/dicom",
            {"transfer-syntax": "1.2.840.10008.1.2.1"},
        ),
        ("multipart/related; boundary=**", "multipart/related", {"boundary": "**"}),
    ],
)
def test_content_types_are_read(text: str, name: str, parameters: dict[str, str]) -> None:
    said = parse_content_type(text)
    assert (said.name, dict(said.parameters)) == (name, parameters)


@pytest.mark.parametrize(
    "text", ["", "multipart", "a/b; boundary=a; boundary=b", 'a/b; x="open', "a/b c", "a/b; =x", "x" * 5000]
)
def test_what_is_no_content_type_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_content_type(text)


@pytest.mark.parametrize(
    "boundary", ["", "x" * 257, "x" * 10_240, "a\\\\b", '"a "', "caf\u00e9", '"a\\"b"'], ids=lambda text: text[:8]
)
def test_what_is_no_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(Malformed):
        boundary_of(parse_content_type(f"multipart/related; boundary={boundary}"))


@given(st.lists(CRUMBS, max_size=5))
def test_what_is_written_is_read_back(datas: list[bytes]) -> None:
    writer = MultipartWriter("application/octet-stream", {"transfer-syntax": "1.2.840.10008.1.2.1"})
    body = b"".join(writer.part({"Content-Type": "application/octet-stream"}) + data for data in datas) + writer.end()
    boundary = boundary_of(parse_content_type(writer.content_type))
    read = taken_apart(body, boundary, [])
    assert [data for _, data in read] == datas
    if datas:
        assert [data for _, data in as_email_reads(body, boundary)] == datas or any(
            b"\r" in d or b"\n" in d for d in datas
        )


def test_no_two_bodies_have_one_boundary() -> None:
    assert len({MultipartWriter("application/dicom").boundary for _ in range(100)}) == 100


def test_a_header_that_would_end_its_line_is_not_written() -> None:
    with pytest.raises(ValueError, match="control"):
        MultipartWriter("application/dicom").part({"Content-Location": "x\r\nX-Evil: 1"})
