"""What is kept of a survey, where somebody else was in its folder, the disk is full, or another version wrote it."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from leadglass.errors import BadInput, Busy, Misconfigured
from leadglass.survey import running
from leadglass.survey.check import Check, Visit
from leadglass.survey.engine import Target
from leadglass.survey.entries import Asset
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Gate, Stopped
from leadglass.survey.journal import Journal, Unrecorded
from leadglass.survey.register import Register
from leadglass.survey.scope import Level
from leadglass.survey.state import FILE, JOURNAL, STOP, State, Status
from tests.survey.visiting import scope

HERE = ip_address("127.0.0.1")


def _listens(run: Callable[[Visit], object]) -> Check:
    async def made(visit: Visit) -> None:
        visit.known.is_open = True
        visit.report(Exposure.E2, {"n": 1})
        run(visit)
        await asyncio.sleep(0)

    return Check("a-check", "Something.", Level.IDENTIFY, "Nothing.", (), (), lambda _known, _port: True, made)


def _targets(count: int) -> list[Target]:
    return [Target(ip_address(f"127.0.0.{n + 1}"), 104, "", n) for n in range(count)]


# --- the folder -----------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_a_folder_that_others_write_into_is_not_used(mode: int, tmp_path: Path) -> None:
    folder = tmp_path / "clinic.survey"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(Misconfigured, match="others may write"):
        State(folder, writes=True)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", [FILE, "survey.lock"])
def test_no_link_is_followed(name: str, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "clinic.survey", tmp_path / "elsewhere"
    folder.mkdir(mode=0o700)
    (folder / name).symlink_to(elsewhere)
    with pytest.raises(Misconfigured, match="cannot be used"):
        State(folder, writes=True)
    assert not elsewhere.exists()
    (folder / name).unlink()
    State(folder, writes=True).close()  # and nothing was left locked


def test_the_journal_follows_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    elsewhere, link, pipe = tmp_path / "elsewhere", tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(elsewhere)
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path):
        with pytest.raises(Misconfigured, match="journal"):
            Journal(path, "a run")
    assert not elsewhere.exists()


def test_a_line_that_was_cut_off_does_not_take_the_next_with_it(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    path.write_text('{"act":"connect"}\n{"act":"conn')
    with Journal(path, "a run") as journal:
        journal.write("connect", "a-check", HERE, 104)
    *_, torn, last = path.read_text().splitlines()
    assert torn == '{"act":"conn'
    assert json.loads(last)["run"] == "a run"


# --- the database ----------------------------------------------------------------


def _spoiled(folder: Path, statement: str) -> None:
    with State(folder, writes=True) as state:
        run = state.begin(scope(), "scope", 1)
        running.survey(scope(), state, run, _targets(1), [_listens(lambda _: None)])
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE seen SET said = '{'",
        "UPDATE seen SET said = '[]'",
        "UPDATE seen SET said = '" + "[" * 100_000 + "'",
        "UPDATE seen SET severity = 'dreadful'",
        "UPDATE seen SET exposure = 9",
        "UPDATE seen SET address = '127.0.0.1;'",
        "UPDATE run SET status = 'eaten'",
        "UPDATE run SET started = x'00ff'",
        "UPDATE run SET started = 7",
        "UPDATE entry SET standing = 'lying'",
        "UPDATE entry SET since = 'yesterday'",
        "UPDATE entry SET exposure = 'x'",
    ],
)
def test_what_was_not_written_so_is_said_to_be_damaged(statement: str, tmp_path: Path) -> None:
    folder = tmp_path / "clinic.survey"
    _spoiled(folder, statement)
    with State(folder) as state, pytest.raises(Misconfigured, match="damaged"):
        _ = [state.findings(run.id) for run in state.runs()], Register(state).entries()


def test_a_newer_version_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "clinic.survey"
    _spoiled(folder, "PRAGMA user_version = 2")
    before = (folder / FILE).read_bytes()
    with pytest.raises(Misconfigured, match="newer version"):
        State(folder, writes=True)
    assert (folder / FILE).read_bytes() == before


@pytest.mark.parametrize("content", [b"SQLite format 3\0" + b"\xff" * 4_000, b"no database" * 500])
def test_what_is_no_database_is_said_to_be_damaged(content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "clinic.survey"
    folder.mkdir(mode=0o700)
    (folder / FILE).write_bytes(content)
    with pytest.raises(Misconfigured, match=r"damaged|cannot be used"):
        State(folder, writes=True)


def test_two_runs_do_not_write_at_once_and_who_waits_leaves_nothing_locked(tmp_path: Path) -> None:
    folder = tmp_path / "clinic.survey"
    with State(folder, writes=True), pytest.raises(Busy, match="A survey goes on"):
        State(folder, writes=True)
    State(folder, writes=True).close()


# --- a run -----------------------------------------------------------------------


def test_without_its_journal_a_run_sends_nothing_more_keeps_what_it_found_and_goes_on_later(tmp_path: Path) -> None:
    """A disk that is full in the middle of a run."""
    looked: list[str] = []

    def run_of(visit: Visit) -> None:
        if str(visit.address) == "127.0.0.3" and not looked.count("127.0.0.3"):
            looked.append(str(visit.address))
            raise Unrecorded("The journal cannot be written (No space left on device).")
        looked.append(str(visit.address))

    within = scope()
    with State(tmp_path / "clinic.survey", writes=True) as state:
        run = state.begin(within, "scope", 5)
        with pytest.raises(Unrecorded):
            running.survey(within, state, run, _targets(5), [_listens(run_of)])
        stopped = state.run(run.id)
        assert stopped.status is Status.STOPPED
        assert "127.0.0.3" not in {str(each.address) for each in state.findings(run.id)}
        assert running.survey(within, state, stopped, _targets(5), [_listens(run_of)])
        assert {str(each.address) for each in state.findings(run.id)} == {f"127.0.0.{n + 1}" for n in range(5)}


def test_a_journal_on_a_full_disk_says_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL, "a run")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file.fileno())  # pyright: ignore[reportPrivateUsage]
    os.close(full)
    with pytest.raises(Unrecorded, match="No space left"):
        journal.write("connect", "a-check", HERE, 104)
    journal._file.close()  # pyright: ignore[reportPrivateUsage]


def test_a_word_to_stop_that_cannot_be_taken_back_is_obeyed(tmp_path: Path) -> None:
    with State(tmp_path / "clinic.survey", writes=True) as state:
        (state.folder / STOP).mkdir()
        run = state.begin(scope(), "scope", 1)
        with pytest.raises(Misconfigured, match="says stop"):
            running.survey(scope(), state, run, _targets(1), [_listens(lambda _: None)])
        assert state.findings(run.id) == []


def test_a_link_that_leads_nowhere_stops_a_run_too(tmp_path: Path) -> None:
    def stops(visit: Visit) -> None:
        if str(visit.address) == "127.0.0.1":
            (tmp_path / "clinic.survey" / STOP).symlink_to(tmp_path / "nowhere")

    async def waits(visit: Visit) -> None:
        await visit.gate.pause(60)

    listening = _listens(stops)
    waiting = Check("waits", "It waits.", Level.IDENTIFY, "Nothing.", (), (), lambda _known, _port: True, waits)
    with State(tmp_path / "clinic.survey", writes=True) as state:
        run = state.begin(scope(), "scope", 1)
        assert not running.survey(scope(), state, run, _targets(1), [listening, waiting])
        assert state.run(run.id).status is Status.STOPPED


def test_a_clock_that_goes_back_changes_no_order_of_acts(tmp_path: Path) -> None:
    moments = iter((datetime(2026, 11, 22, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)))
    with Journal(tmp_path / JOURNAL, "a run", clock=lambda: next(moments)) as journal:
        journal.write("connect", "a-check", HERE, 104)
        journal.write("A-ASSOCIATE-RQ", "a-check", HERE, 104)
    assert [json.loads(each)["act"] for each in (tmp_path / JOURNAL).read_text().splitlines()] == [
        "connect",
        "A-ASSOCIATE-RQ",
    ]


def test_a_run_that_outlasts_its_scope_stops(tmp_path: Path) -> None:
    within = scope()
    days = iter((within.valid_until, within.valid_until + timedelta(days=1)))

    async def run() -> Gate:
        with Journal(tmp_path / JOURNAL, "a run") as journal:
            gate = Gate(within, journal, today=lambda: next(days))
            async with gate.turn(HERE, 104, "a-check"):
                pass
            with pytest.raises(Stopped, match="in force no more"):
                async with gate.turn(HERE, 104, "a-check"):
                    pass
        return gate

    gate = asyncio.run(run())
    assert gate.is_stopped
    assert gate.connections == 1


def test_an_asset_has_no_zone_in_which_a_text_could_hide(tmp_path: Path) -> None:
    with State(tmp_path / "clinic.survey", writes=True) as state:
        register = Register(state)
        with pytest.raises(BadInput, match="without a zone"):
            register.assign(Asset(ip_network("fe80::1%\x1b[31m"), 0, owner="somebody"))
        assert register.assets() == []
