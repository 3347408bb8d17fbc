"""Drafts: bytes that wait for their instance, sealed, and gone with whoever held them."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from leadglass.errors import BadInput, Denied, Full
from leadglass.policy.action import Action
from leadglass.vault.settings import VaultSettings
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import opened


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
def test_what_is_written_is_read_back_and_no_file_has_a_name(vault: Vault, tmp_path: Path, size: int) -> None:
    before = sorted(tmp_path.rglob("*"))
    data = os.urandom(size)
    draft = vault.draft(permit(Action.STORE))
    for start in range(0, size, 50_000):
        draft.write(data[start : start + 50_000])
    assert sorted(tmp_path.rglob("*")) == before
    with draft.finish() as reader:
        assert reader.size == size
        assert reader.read_at(0, size) == data
        assert reader.read_at(size // 2, 100) == data[size // 2 :][:100]
    with pytest.raises(BadInput, match="added"):
        draft.write(b"more")


def test_where_a_file_system_has_no_nameless_files_a_draft_has_no_name_either(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_open = os.open

    def refusing(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return plain_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refusing)
    before = sorted(tmp_path.rglob("*"))
    draft = vault.draft(permit(Action.STORE))
    draft.write(bytes(100_000))
    assert sorted(tmp_path.rglob("*")) == before
    with draft.finish() as reader:
        assert reader.size == 100_000


def test_on_the_disk_a_draft_is_sealed(vault: Vault) -> None:
    draft = vault.draft(permit(Action.STORE))
    pattern = b"PATIENT^NAME" * 20_000
    draft.write(pattern)
    kept = nameless()
    assert kept
    assert all(b"PATIENT" not in path.read_bytes() for path in kept)
    draft.abort()
    draft.abort()
    assert not nameless()


def nameless() -> list[Path]:
    """Give the open files of the vault that have no name."""
    found: list[Path] = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = str(path.readlink())
            if "/objects/" in target and target.endswith("(deleted)"):
                found.append(path)
    return found


def test_a_draft_larger_than_an_instance_may_be_is_refused_on_the_way(tmp_path: Path) -> None:
    with opened(tmp_path, VaultSettings(min_free_bytes=0, max_instance_bytes=1000)) as vault:
        draft = vault.draft(permit(Action.STORE))
        draft.write(bytes(900))
        with pytest.raises(Full):
            draft.write(bytes(900))
        draft.abort()


def test_a_draft_needs_a_permit_to_store(vault: Vault) -> None:
    with pytest.raises(Denied):
        vault.draft(permit(Action.FIND))
