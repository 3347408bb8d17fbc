"""Configuration files that are made to hurt who reads them: read in one pass, or refused in words."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.errors import BadInput
from leadglass.survey.config_audit import audit

MANY: Final = 400_000
"""Bytes of which a program that looks twice at each takes hours, and one that does not a moment."""

_ORTHANC: Final = b'{"DicomPort":1,'
_COMPOSE: Final = b"services:\n a:\n  environment:\n"
HOSTILE: Final[Mapping[str, bytes]] = {
    "comments without an end": _ORTHANC + b"/*x" * (MANY // 3),
    "a comment of stars": _ORTHANC + b"/" + b"*" * MANY,
    "a text without an end": _ORTHANC + b'"' + b'\\"' * (MANY // 2),
    "a long text": _ORTHANC + b'"a":"' + b"a" * MANY + b'"}',
    "commas": _ORTHANC + b", " * (MANY // 2) + b"}",
    "depth": b'{"DicomPort":' + b"[" * MANY,
    "a long number": b'{"DicomPort":' + b"9" * MANY + b"}",
    "empty lines": b"\n" * MANY,
    "blank lines": b" \n" * (MANY // 2),
    "a blank line": b" " * MANY,
    "a variable of blanks": _COMPOSE + b"   POSTGRES_PASSWORD: " + b" " * MANY + b"x",
    "a variable of many lines": _COMPOSE + b"   A: |\n" + b"    x\n" * (MANY // 6),
    "many services": b"services:\n" + b" a:\n  image: x\n" * (MANY // 14),
    "a port without an end": b"services:\n a:\n  ports:\n   - " + b"1" * MANY + b":",
    "braces without an end": b"services:\n a:\n  ports:\n   - " + b"${" * (MANY // 2),
    "anchors upon anchors": b"services:\n a: &a [x,x]\n" + b" b: &a [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" * 500,
    "an entry of one name": b"dn: dicomDevice\n" + b"a:b\n" * (MANY // 4),
    "a value that goes on": b"dn: dicomDevice\na:\n" + b" b\n" * (MANY // 3),
    "an AE table of one line": b"AETable BEGIN\n" + b"a " * (MANY // 2),
    "quotes in an AE table": b"AETable BEGIN\n" + b'"' * MANY,
    "parentheses": b"AETable BEGIN\nA b RW " + b"(" * MANY,
    "half an ini": b"[sscscp]\n" + b"association \n" * (MANY // 13),
    "a map of comments": b"a b 1 l\n" + b"/*x" * (MANY // 3),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_is_read_once_however_it_is_made(name: str, tmp_path: Path) -> None:
    """That it comes to its end within the time that a test has is what shows it."""
    file = tmp_path / "file"
    file.write_bytes(HOSTILE[name])
    with suppress(BadInput):
        audit(file)


@pytest.mark.parametrize(
    "text",
    [
        b'{"DicomPort":1,"RegisteredUsers":{"a":["x"],"b":{"c":1},"d":7,"e":null}}',
        b'services:\n o:\n  image: orthanc\n  environment:\n   ORTHANC__REGISTERED_USERS: \'{"a":["x"]}\'\n',
        b"services:\n o:\n  image: orthanc\n  environment:\n   ORTHANC__SSL_ENABLED: " + b"[" * 100_000,
        "services:\n a:\n  ports:\n   - ١٢:١٠٤\n   - target: ²\n   - 99999-1\n   - \n".encode(),
        b"services:\n-\n -\n  :\n",
        b"services:\n a:\n  - b\n",
        b"dn:: !!python/object\nobjectClass:: " + b"QQ" * 50_000 + b"\nx: dicomDevice\n",
        b"services: !!python/object/apply:os.system ['true']\n",
    ],
)
def test_values_of_other_kinds_than_expected_are_no_reason_to_stop(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(text)
    audit(file)


_PIECES: Final = st.sampled_from(
    [
        "services:", " a:", "  ports:", "  environment:", "   - ", "104:104", "image: orthanc", "|",
        "network_mode: host",
        "HostTable BEGIN", "AETable BEGIN", "AETable END", "A b RW (1,2) ANY", "dn:", "objectClass: dicomNetworkAE",
        "dicomDevice", "[sscscp]", "association=", "{", '"DicomPort"', ":", "1", "}", '"RegisteredUsers"', "[", "]",
        '"',
        "\\", "/*", "*/", "//", ",", "\n", "\n ", "\n  ", "\t", "-", "=", "ORTHANC__SSL_ENABLED", "²", "\0", "\ufeff",
    ]
)  # fmt: skip


@given(st.lists(st.one_of(_PIECES, st.text(max_size=3)), max_size=40))
@settings(max_examples=150, deadline=None)
def test_whatever_a_file_says_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "said"
    file.write_text("".join(pieces), encoding="utf-8", errors="replace", newline="")
    try:
        found = audit(file)
    except BadInput:
        return
    assert all(isinstance(each, str | int) for one in found.findings for each in one.proof.values())
