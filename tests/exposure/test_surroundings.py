"""Surroundings: what the operating system tells, and what it does not."""

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.exposure import surroundings
from leadglass.exposure.facts import Reach


@pytest.mark.parametrize(
    ("listens", "own", "reach"),
    [
        (["127.0.0.1"], ["93.184.216.34"], Reach.LOOPBACK),
        (["::1", "127.0.0.1"], [], Reach.LOOPBACK),
        (["10.1.2.3"], [], Reach.LOCAL),
        (["93.184.216.34"], [], Reach.PUBLIC),
        (["::ffff:93.184.216.34"], [], Reach.PUBLIC),
        (["0.0.0.0"], ["127.0.0.1", "10.1.2.3"], Reach.LOCAL),
        (["0.0.0.0"], ["127.0.0.1", "93.184.216.34"], Reach.PUBLIC),
        (["::"], ["2606:4700::1"], Reach.PUBLIC),
        (["10.1.2.3", "93.184.216.34"], [], Reach.PUBLIC),
    ],
)
def test_from_where_a_listener_is_reached(listens: list[str], own: list[str], reach: Reach) -> None:
    assert surroundings.reach_of(map(ip_address, listens), [ip_address(each) for each in own]) is reach


def test_unknown_own_addresses_are_taken_for_a_network_not_for_this_machine_alone() -> None:
    assert surroundings.reach_of([ip_address("0.0.0.0")], None) is Reach.LOCAL


def test_files_that_others_may_use_are_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for name, mode in (("index.db", 0o600), ("loose.db", 0o644), ("ca.pem", 0o644), ("leadglass.toml", 0o666)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    (tmp_path / "objects").mkdir(mode=0o755)
    (tmp_path / "objects").chmod(0o755)
    (tmp_path / "objects" / "one").touch()
    (tmp_path / "objects" / "one").chmod(0o620)
    (tmp_path / "link").symlink_to("/etc/passwd")
    found = {Path(each.path).name: (each.mode, each.is_folder) for each in surroundings.loose(tmp_path)}
    assert found == {
        "loose.db": (0o644, False),
        "leadglass.toml": (0o666, False),
        "objects": (0o755, True),
        "one": (0o620, False),
    }


def test_the_folder_itself_is_looked_at_first(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert [each.path for each in surroundings.loose(tmp_path)] == [str(tmp_path)]


def test_of_very_many_files_only_the_first_are_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for number in range(80):
        (tmp_path / str(number)).touch(mode=0o644)
        (tmp_path / str(number)).chmod(0o644)
    assert len(surroundings.loose(tmp_path)) == 50


def test_what_is_not_there_tells_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert surroundings.loose(gone) == ()
    assert surroundings.digest_of(gone) == ""
    assert surroundings.changed(gone) is None
    assert surroundings.installed(gone) is None
    assert not surroundings.is_writable(gone)
    assert not surroundings.is_on_disk_of(gone, tmp_path)


def test_a_file_without_a_time_of_its_own_does_not_make_the_program_old(tmp_path: Path) -> None:
    import os

    path = tmp_path / "x"
    path.touch()
    os.utime(path, (315_532_800, 315_532_800))
    assert surroundings.installed(path) is None
    os.utime(path, (1_780_000_000, 1_780_000_000))
    assert surroundings.installed(path) == datetime.fromtimestamp(1_780_000_000, UTC)


def test_settings_that_change_have_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "leadglass.toml"
    path.write_text("a = 1")
    before = surroundings.digest_of(path)
    path.write_text("a = 2")
    assert surroundings.digest_of(path) != before != ""
