"""Trials: few at a time, one's own, ended by themselves, and forgotten."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import pytest

from leadglass.doors.dimse.probe import Prober
from leadglass.doors.pages.devices.trials import MOST_OF_ONE, MOST_RUNNING, Trials, Way
from leadglass.errors import Busy, NotHere
from leadglass.identity.contacts import Contacts
from leadglass.identity.device import Device
from tests.identity.conftest import KEY, House
from tests.identity.conftest import house as house

T = TypeVar("T")


def device(name: str = "CT1") -> Device:
    return Device.parse(name, ["10.1.2.3"])


def trials(house: House, folder: Path, *, waiting: float = 60.0) -> Trials:
    contacts = Contacts(folder / "contacts.db", KEY)
    return Trials(Prober("LEADGLASS", None), house.devices, contacts, waiting=waiting)


def run(work: Coroutine[None, None, T]) -> T:
    return asyncio.run(work)


def test_few_run_at_a_time_and_of_ones_own_the_oldest_gives_way(house: House, tmp_path: Path) -> None:
    async def work() -> None:
        desk = trials(house, tmp_path)
        own = [desk.begin("one", device(f"D{number}"), Way.FROM) for number in range(MOST_OF_ONE + 1)]
        assert [each.over for each in own] == [True] + [False] * MOST_OF_ONE
        for number in range(MOST_RUNNING - MOST_OF_ONE):
            desk.begin("another", device(f"D{number}"), Way.FROM)
        with pytest.raises(Busy):
            desk.begin("third", device("D9"), Way.FROM)
        await desk.close()
        desk.begin("third", device("D9"), Way.FROM)
        await desk.close()

    run(work())


def test_beginning_the_same_again_ends_the_one_before(house: House, tmp_path: Path) -> None:
    async def work() -> None:
        desk = trials(house, tmp_path)
        first = desk.begin("one", device(), Way.FROM)
        second = desk.begin("one", device(), Way.FROM)
        assert first.over
        assert not second.over
        await desk.close()

    run(work())


def test_waiting_ends_by_itself_and_what_came_stays(house: House, tmp_path: Path) -> None:
    async def work() -> None:
        desk = trials(house, tmp_path, waiting=0.01)
        trial = desk.begin("one", device(), Way.FROM)
        await desk.settled(trial, 30.0)
        assert trial.over
        assert not trial.stopped
        assert desk.arrived(trial) == ((), ())
        assert desk.find("one", "CT1", trial.id) is trial

    run(work())


def test_nobody_finds_the_trial_of_another_or_of_another_device(house: House, tmp_path: Path) -> None:
    async def work() -> None:
        desk = trials(house, tmp_path)
        trial = desk.begin("one", device(), Way.FROM)
        for owner, title, id_ in (("two", "CT1", trial.id), ("one", "CT2", trial.id), ("one", "CT1", "x")):
            with pytest.raises(NotHere):
                desk.find(owner, title, id_)
        await desk.close()

    run(work())


def test_a_trial_of_what_cannot_be_reached_says_why_and_is_over(house: House, tmp_path: Path) -> None:
    async def work() -> None:
        desk = trials(house, tmp_path)
        trial = desk.begin("one", device(), Way.TO)
        await desk.settled(trial, 30.0)
        assert trial.over
        assert not trial.answered
        assert [step.stage.value for step in trial.steps] == ["set up"]

    run(work())
