"""Key files: what is read is the key that was written, or nothing."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.crypto import keyfile
from leadglass.errors import Misconfigured

SECRETS = st.binary(min_size=32, max_size=32)


@given(SECRETS)
def test_a_secret_reads_back_as_it_was_written(secret: bytes) -> None:
    for word in (keyfile.ARCHIVE, keyfile.UNLOCKING):
        written = keyfile.from_text(f"\n {keyfile.to_text(secret, word)} \n", "it")
        assert (written.secret, written.word) == (secret, word)
        assert secret.hex() not in repr(written)


@given(SECRETS, st.data())
def test_a_line_with_one_character_changed_is_refused_and_not_shown(secret: bytes, data: st.DataObject) -> None:
    text = keyfile.to_text(secret)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != text[at]))
    with pytest.raises(Misconfigured) as refused:
        keyfile.from_text(text[:at] + other + text[at + 1 :], "it")
    assert text.split()[1] not in str(refused.value)


@given(st.text() | st.binary().map(lambda octets: octets.decode("latin-1")))
def test_any_other_text_is_no_key(text: str) -> None:
    with pytest.raises(Misconfigured):
        keyfile.from_text(text, "it")


@given(SECRETS, st.integers(0, 200))
def test_a_cut_line_is_no_key(secret: bytes, length: int) -> None:
    text = keyfile.to_text(secret)
    if length < len(text):
        with pytest.raises(Misconfigured):
            keyfile.from_text(text[:length], "it")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o666])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    keyfile.create(path, keyfile.new_key())
    path.chmod(mode)
    with pytest.raises(Misconfigured, match="chmod 0600"):
        keyfile.read(path)


def test_the_service_managers_access_list_shows_as_the_groups_rights_and_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keyfile.create(path, keyfile.new_key())
    path.chmod(0o440)
    keyfile.read(path, credential=True)
    path.chmod(0o444)
    with pytest.raises(Misconfigured, match="used by others"):
        keyfile.read(path, credential=True)


def test_a_pipe_a_folder_and_a_link_are_no_key_files_and_nobody_waits_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    keyfile.create(tmp_path / "key", keyfile.new_key())
    (tmp_path / "link").symlink_to(tmp_path / "key")
    for name, said in (("pipe", "not a file"), ("folder", "not a file"), ("link", "symbolic link"), ("-", "missing")):
        with pytest.raises(Misconfigured, match=said):
            keyfile.read(tmp_path / name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_somebody_elses_file_is_refused(tmp_path: Path) -> None:
    keyfile.create(tmp_path / "key", keyfile.new_key())
    os.chown(tmp_path / "key", 65534, 65534)
    with pytest.raises(Misconfigured, match="another user"):
        keyfile.read(tmp_path / "key")


def test_a_file_is_never_made_over_another(tmp_path: Path) -> None:
    keyfile.create(tmp_path / "key", b"a" * 32)
    with pytest.raises(Misconfigured, match="not replaced"):
        keyfile.create(tmp_path / "key", b"b" * 32)
    assert keyfile.read(tmp_path / "key").secret == b"a" * 32


def test_what_is_replaced_is_overwritten_where_it_lay(tmp_path: Path) -> None:
    keyfile.create(tmp_path / "key", b"a" * 32)
    keyfile.create(tmp_path / "draft", b"b" * 32)
    os.link(tmp_path / "key", tmp_path / "same-place-on-the-disk")
    keyfile.replace_and_forget(tmp_path / "draft", tmp_path / "key")
    assert keyfile.read(tmp_path / "key").secret == b"b" * 32
    assert keyfile.to_text(b"a" * 32).encode() not in (tmp_path / "same-place-on-the-disk").read_bytes()
