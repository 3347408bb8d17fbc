"""The lookout of a server: it looks at the start and every day, leaves what it knows, and nothing it meets ends it."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from leadglass import config, lookout
from leadglass.app import App
from leadglass.audit.event import Outcome
from leadglass.crypto.sources import Given
from leadglass.doors.cli.application import Ready
from leadglass.errors import Busy, Misconfigured
from leadglass.exposure.report import Occasion
from leadglass.exposure.selfcheck import SelfCheck
from leadglass.folder import Folder
from leadglass.identity.contacts import Contacts
from leadglass.keyring import Keyring
from leadglass.lookout import Lookout
from leadglass.parts import Parts, opened, sealed

DOORS = [Ready("https", "127.0.0.1:8443"), Ready("dicom", "127.0.0.1:11112")]


@pytest.fixture
def parts(tmp_path: Path) -> Generator[Parts]:
    data = tmp_path / "data"
    App().initialise(data)
    folder = Folder(data)
    key = Keyring(folder, Given(), lambda: sealed(folder)).unlock()
    with opened(folder, config.load(data), key) as made:
        yield made


def _lookout(parts: Parts, stack: ExitStack) -> Lookout:
    contacts = stack.enter_context(Contacts(parts.folder.path / "contacts.db", parts.derive("contacts database")))
    return Lookout(parts, contacts, lambda: (4, 1, 0), lambda: 2)


def _waiting(*first: float, otherwise: float = 3_600.0) -> Callable[[str, datetime], float]:
    """Give what says how long to wait: so long first, and then as long as is said otherwise."""
    waits = iter(first)

    def seconds(_at: str, _now: datetime) -> float:
        return next(waits, otherwise)

    return seconds


def _run(parts: Parts, until: int) -> None:
    """Run it until so many results are kept."""

    async def running(watch: Lookout) -> None:
        task = asyncio.create_task(watch.run(DOORS))
        while len(parts.open_exposure().newest(10)) < until:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with ExitStack() as stack:
        asyncio.run(asyncio.wait_for(running(_lookout(parts, stack)), 120))


def test_it_looks_at_the_start_and_then_every_day(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "seconds_until", _waiting(0.0, 0.01))
    _run(parts, 2)
    occasions = [report.occasion for report in parts.open_exposure().newest(10)]
    assert occasions[-1] is Occasion.START
    assert set(occasions[:-1]) == {Occasion.NIGHT}


def test_what_the_server_alone_knows_is_left_for_the_command_line_until_it_ends(parts: Parts) -> None:
    _run(parts, 1)
    note = parts.open_exposure().server()
    assert note is not None
    assert [(each.door, each.address, each.reach.value) for each in note.doors] == [
        ("https", "127.0.0.1:8443", "this machine only"),
        ("dicom", "127.0.0.1:11112", "this machine only"),
    ]
    with ExitStack() as stack:
        _lookout(parts, stack).close()
    assert parts.open_exposure().server() is None


def test_what_goes_wrong_in_a_look_ends_nothing(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Occasion] = []
    run = SelfCheck.run

    def fails_first(self: SelfCheck, occasion: Occasion) -> object:
        looks.append(occasion)
        if len(looks) == 1:
            raise Busy("The database is locked.")
        if len(looks) == 2:
            raise OSError("the disk says no")
        return run(self, occasion)

    monkeypatch.setattr(SelfCheck, "run", fails_first)
    monkeypatch.setattr(lookout, "seconds_until", _waiting(otherwise=0.01))
    _run(parts, 1)
    assert looks[:3] == [Occasion.START, Occasion.NIGHT, Occasion.NIGHT]


def test_facts_are_gathered_once_for_pages_that_are_loaded_again(parts: Parts) -> None:
    with ExitStack() as stack:
        watch = _lookout(parts, stack)
        first = watch.facts()
        assert watch.facts() is first
        assert (first.work.threads, first.work.busy, first.work.associations) == (4, 1, 2)


def test_a_look_by_itself_is_the_archives_own_act(parts: Parts) -> None:
    _run(parts, 1)
    [event] = [each.event for each in parts.audit.records() if each.event.action == "exposure"]
    assert (event.outcome, event.caller, event.door, event.peer) == (Outcome.DONE, "", "system", "local")


def test_a_time_of_day_that_is_none_refuses_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    App().initialise(data)
    (data / "leadglass.toml").write_text('[exposure]\nat = "half past three"\n')
    folder = Folder(data)
    key = Keyring(folder, Given(), lambda: sealed(folder)).unlock()
    with (
        opened(folder, config.load(data), key) as parts,
        ExitStack() as stack,
        pytest.raises(Misconfigured, match="exposure"),
    ):
        _lookout(parts, stack)
