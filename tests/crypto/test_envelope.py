"""The envelope and recovery copies: a wrong key, damage and a change made on purpose are told apart."""

import json
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.crypto import recovery
from leadglass.crypto.envelope import Envelope, Life, Lock, Source, WrongKey, parse
from leadglass.crypto.passphrase import Cost, Stretch
from leadglass.crypto.wrap import ArchiveKey
from leadglass.errors import BadInput, Corrupt, LeadglassError, Misconfigured

KEY = ArchiveKey(b"k" * 32)
SECRET = b"s" * 32
SMALL = Cost(memory_kib=64, passes=1, lanes=1)
LIFE = Life("2026-01-01T00:00:00+00:00", "", "2026-01-02T00:00:00+00:00")

LOCKS = st.one_of(
    st.just(Lock(Source.FILE)),
    st.text(min_size=1, max_size=20, alphabet=st.characters(exclude_categories=("Cs",))).map(
        lambda name: Lock(Source.FILE, "/" + name)
    ),
    st.just(Lock(Source.ENVIRONMENT)),
    st.just(Lock(Source.CREDENTIAL)),
    st.binary(min_size=16, max_size=16).map(lambda salt: Lock(Source.PASSPHRASE, stretch=Stretch(salt, SMALL))),
)


@given(LOCKS, st.lists(st.sampled_from(["index.db", "keys/ca.pem", "forget keys/archive.key"]), unique=True))
def test_an_envelope_reads_back_and_opens(lock: Lock, pending: list[str]) -> None:
    envelope = Envelope.seal(KEY, SECRET, lock, LIFE, tuple(pending))
    again = parse(envelope.to_bytes())
    assert again == envelope
    assert again.open(SECRET).derive("x") == KEY.derive("x")
    assert again.key_id == KEY.id


def test_another_secret_is_told_from_damage() -> None:
    envelope = parse(Envelope.seal(KEY, SECRET, Lock(Source.FILE), LIFE).to_bytes())
    with pytest.raises(WrongKey, match=KEY.id):
        envelope.open(b"t" * 32)


@given(st.integers(0, 2_000), st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_damage_or_refused(at: int, bit: int) -> None:
    data = bytearray(Envelope.seal(KEY, SECRET, Lock(Source.FILE), LIFE).to_bytes())
    data[at % len(data)] ^= 1 << bit
    try:
        found = parse(bytes(data))
    except LeadglassError:
        return
    assert found.open(SECRET).id == KEY.id  # white space is no content
    assert found == parse(Envelope.to_bytes(found))


def _changed(**fields: object) -> bytes:
    """Change what an envelope says, with a checksum that fits: what somebody does on purpose."""
    lock = Lock(Source.PASSPHRASE, stretch=Stretch(b"a" * 16, SMALL))
    written = json.loads(Envelope.seal(KEY, SECRET, lock, LIFE).to_bytes())
    del written["checksum"]
    for name, value in fields.items():
        if value is None:
            del written[name]
        else:
            written[name] = value
    said = json.dumps(written, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps(written | {"checksum": sha256(said).hexdigest()}).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"pending": ["../../etc/passwd"]},
        {"pending": ["index.db"]},
        {"made": "1999-01-01"},
        {"rotated": "2026-01-01"},
        {"key_id": "0" * 16},
        {"argon2id": {"salt": "00" * 16, "memory_kib": 64, "passes": 1, "lanes": 1}},
        {"argon2id": {"salt": "61" * 16, "memory_kib": 8, "passes": 1, "lanes": 1}},
        {"wrapped": "AAAA"},
    ],
)
def test_whatever_is_changed_on_purpose_does_not_open(fields: dict[str, object]) -> None:
    with pytest.raises(Corrupt, match="changed"):
        parse(_changed(**fields)).open(SECRET)


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "nowhere"},
        {"source": "file"},  # with a stretch
        {"argon2id": None},  # a passphrase without one
        {"path": "/elsewhere"},
        {"extra": 1},
        {"check": "xyz"},
        {"wrapped": "?"},
        {"pending": "index.db"},
        {"argon2id": {"salt": "00" * 16, "memory_kib": 2**50, "passes": 1, "lanes": 1}},
    ],
)
def test_what_makes_no_sense_is_refused_before_it_costs(fields: dict[str, object]) -> None:
    with pytest.raises((Corrupt, Misconfigured)):
        parse(_changed(**fields))


def test_another_versions_envelope_says_so() -> None:
    with pytest.raises(Misconfigured, match="another version"):
        parse(_changed(format="leadglass wrapped archive key 9"))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises((Corrupt, Misconfigured)):
        parse(data)


def test_nothing_of_the_key_is_shown() -> None:
    envelope = Envelope.seal(KEY, SECRET, Lock(Source.FILE), LIFE)
    for text in (repr(envelope), str(envelope), envelope.to_bytes().decode()):
        assert "kkkk" not in text
        assert SECRET.hex() not in text
    assert "wrapped" not in repr(replace(envelope, wrapped=b"wrapped"))[-10:]


# --- recovery copies --------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32))
def test_paper_reads_back_however_it_is_typed(secret: bytes) -> None:
    key = ArchiveKey(secret)
    paper = recovery.to_paper(key, "copied today")
    assert recovery.from_paper(paper).id == key.id
    lines = [line.partition(":")[2] for line in paper.splitlines() if line[:1] in tuple("1234") and ":" in line]
    assert len(lines) == 4
    typed = "\r\n".join(line.lower().replace(" ", "-").replace("0", "o").replace("1", "l") for line in lines)
    assert recovery.from_paper(typed).id == key.id


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 3),
    st.integers(0, 15),
    st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
)
def test_one_wrong_letter_names_its_line(secret: bytes, line: int, at: int, letter: str) -> None:
    lines = [
        text.partition(":")[2].replace(" ", "") for text in recovery.to_paper(ArchiveKey(secret), "x").splitlines()[-4:]
    ]
    if lines[line][at] == letter:
        return
    lines[line] = lines[line][:at] + letter + lines[line][at + 1 :]
    try:
        found = recovery.from_paper("\n".join(lines))
    except BadInput as error:
        assert f"Line {line + 1} " in error.message  # noqa: PT017 - one in 32,768 passes
    else:
        assert found.id != ArchiveKey(secret).id  # and then the archive says that it is another key


def test_lines_in_another_order_are_refused() -> None:
    lines = recovery.to_paper(KEY, "x").splitlines()[-4:]
    swapped = "\n".join(line.partition(":")[2] for line in (lines[1], lines[0], *lines[2:]))
    with pytest.raises(BadInput, match="Line 1"):
        recovery.from_paper(swapped)


@given(st.text())
def test_any_other_text_is_no_paper(text: str) -> None:
    with pytest.raises(BadInput):
        recovery.from_paper(text)


def test_a_recovery_file_opens_with_its_passphrase_alone() -> None:
    data = recovery.to_file(KEY, "kiln walrus tundra quince", "2026-01-01", SMALL)
    assert recovery.is_file(data)
    assert not recovery.is_file(recovery.to_paper(KEY, "x").encode())
    assert recovery.from_file(data, "kiln walrus tundra quince").id == KEY.id
    with pytest.raises(WrongKey):
        recovery.from_file(data, "kiln walrus tundra")
