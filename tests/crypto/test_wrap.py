from pathlib import Path

import pytest

from leadglass.crypto.wrap import ArchiveKey, KeyWrap, new_key
from leadglass.errors import Corrupt, Misconfigured


def test_a_wrapped_key_opens_for_what_it_belongs_to_and_nothing_else() -> None:
    wrap, key = KeyWrap(new_key()), new_key()
    wrapped = wrap.wrap(key, b"study 1")
    assert wrap.unwrap(wrapped, b"study 1") == key
    with pytest.raises(Corrupt):
        wrap.unwrap(wrapped, b"study 2")
    with pytest.raises(Corrupt):
        KeyWrap(new_key()).unwrap(wrapped, b"study 1")


@pytest.mark.parametrize("at", [0, 1, 12, 13, 44, 60])
def test_a_changed_wrapped_key_does_not_open(at: int) -> None:
    wrap = KeyWrap(new_key())
    wrapped = bytearray(wrap.wrap(new_key(), b""))
    wrapped[at] ^= 1
    with pytest.raises(Corrupt):
        wrap.unwrap(bytes(wrapped), b"")


@pytest.mark.parametrize("length", [0, 1, 13, 20, 60])
def test_a_cut_wrapped_key_does_not_open(length: int) -> None:
    wrap = KeyWrap(new_key())
    with pytest.raises(Corrupt):
        wrap.unwrap(wrap.wrap(new_key(), b"")[:length], b"")


def test_the_key_file_gives_the_same_keys_again(tmp_path: Path) -> None:
    made = ArchiveKey.create(tmp_path / "key")
    loaded = ArchiveKey.load(tmp_path / "key")
    assert loaded.derive("a") == made.derive("a") != made.derive("b")
    assert loaded.unwrap(made.wrap(b"k" * 32, b"x"), b"x") == b"k" * 32


def test_the_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    ArchiveKey.create(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o666])
def test_a_key_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    ArchiveKey.create(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(Misconfigured, match="0600"):
        ArchiveKey.load(tmp_path / "key")


def test_a_key_file_is_never_replaced(tmp_path: Path) -> None:
    ArchiveKey.create(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(Misconfigured):
        ArchiveKey.create(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before


def test_a_missing_key_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="Restore it"):
        ArchiveKey.load(tmp_path / "key")


def test_a_mistyped_key_file_is_told_from_another_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    ArchiveKey.create(path)
    good = path.read_bytes()
    for bad in (
        good[:-5],
        b"",
        good.replace(b"leadglass", b"otherglas"),
        good[:30] + b"AAAA" + good[34:],
        b"\xff" * 80,
    ):
        path.write_bytes(bad)
        with pytest.raises(Misconfigured, match="damaged"):
            ArchiveKey.load(path)
