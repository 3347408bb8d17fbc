"""The data folder: ours or not at all, and nobody else's."""

import multiprocessing
import os
from pathlib import Path

import pytest

from leadglass.errors import Busy, LeadglassError, Misconfigured
from leadglass.folder import Folder, State


def _create(folder: Folder) -> None:
    for each in (folder.archive_key, folder.wrapped_key, folder.index, folder.audit, folder.identity):
        each.touch(mode=0o600)
    folder.ca_certificate.touch(mode=0o644)
    folder.objects.mkdir(mode=0o700)


@pytest.fixture
def made(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "data")
    assert folder.initialise(lambda: _create(folder))
    return folder


def test_a_new_folder_is_made_with_nobody_else_let_in(made: Folder) -> None:
    assert made.path.stat().st_mode & 0o777 == 0o700
    assert made.keys.stat().st_mode & 0o777 == 0o700
    assert made.state() is State.READY
    made.require_ready()


def test_an_empty_folder_is_taken_and_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = Folder(tmp_path)
    folder.initialise(lambda: _create(folder))
    folder.require_ready()


def test_settings_may_be_there_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "leadglass.toml").touch()
    folder = Folder(tmp_path)
    assert folder.initialise(lambda: _create(folder))


def test_a_second_initialisation_changes_nothing(made: Folder) -> None:
    assert not made.initialise(lambda: pytest.fail("it was initialised twice"))


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    before = tmp_path.stat().st_mode
    folder = Folder(tmp_path)
    with pytest.raises(Misconfigured, match="not empty"):
        folder.initialise(lambda: pytest.fail("it was made ours"))
    with pytest.raises(Misconfigured, match="not empty"):
        folder.require_ready()
    assert [entry.name for entry in tmp_path.iterdir()] == ["holiday.jpg"]
    assert tmp_path.stat().st_mode == before


def test_an_interrupted_initialisation_can_be_run_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")

    def fail() -> None:
        folder.archive_key.touch(mode=0o600)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.initialise(fail)
    assert folder.state() is State.UNFINISHED
    with pytest.raises(Misconfigured, match="leadglass init"):
        folder.require_ready()
    assert folder.initialise(lambda: _create(folder))
    folder.require_ready()


@pytest.mark.parametrize("name", ["", "keys", "keys/archive.key"])
@pytest.mark.parametrize("extra", [0o040, 0o004, 0o010, 0o002])
def test_what_others_could_use_is_refused_with_the_command_that_mends_it(made: Folder, name: str, extra: int) -> None:
    path = made.path / name
    path.chmod(path.stat().st_mode | extra)
    with pytest.raises(Misconfigured, match=r"chmod 0[67]00"):
        made.require_ready()
    path.chmod(path.stat().st_mode & ~extra)
    made.require_ready()


@pytest.mark.parametrize(("name", "said"), [("index.db", "found or read"), ("ca.pem", "device")])
def test_a_missing_key_is_named_and_never_made_anew(made: Folder, name: str, said: str) -> None:
    (made.path / name).unlink()
    with pytest.raises(Misconfigured, match=said) as refused:
        made.require_ready()
    assert name in refused.value.message
    assert not made.initialise(lambda: pytest.fail("a new key was made over stored images"))


def test_a_key_that_is_a_link_is_refused(made: Folder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    made.archive_key.rename(elsewhere)
    made.archive_key.symlink_to(elsewhere)
    with pytest.raises(Misconfigured, match="symbolic link"):
        made.require_ready()


def test_a_folder_of_another_version_is_refused(made: Folder) -> None:
    made.mark.write_text("Leadglass data folder, format 99\n")
    with pytest.raises(Misconfigured, match="another version"):
        made.require_ready()


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="not a folder"):
        Folder(tmp_path / "file").require_ready()


def test_a_folder_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(Misconfigured):
        Folder(Path("/proc/leadglass")).initialise(lambda: None)


def _serves(path: Path) -> bool:
    try:
        with Folder(path).serving():
            return True
    except LeadglassError as error:
        return not isinstance(error, Busy)


def test_only_one_server_works_on_a_folder_and_a_dead_one_does_not_block(made: Folder) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with made.serving():
            assert not pool.apply(_serves, (made.path,))
        assert pool.apply(_serves, (made.path,))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(made: Folder) -> None:
    made.objects.chmod(0o500)
    with pytest.raises(Misconfigured, match="cannot be written"):
        made.check_writable()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["", "keys", "keys/archive.key"])
def test_what_belongs_to_another_user_is_refused(made: Folder, name: str) -> None:
    os.chown(made.path / name, 65534, 65534)
    with pytest.raises(Misconfigured, match="another user"):
        made.require_ready()
