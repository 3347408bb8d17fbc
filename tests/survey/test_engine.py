"""The engine: check after check at an endpoint, whatever one of them comes to."""

import asyncio
import errno
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.engine import HELD, Engine, Outcome, Target
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Closed, Gate, Unreachable
from leadglass.survey.journal import Journal
from leadglass.survey.scope import Level, Rate, SurveyScope
from tests.survey.surroundings import listening
from tests.survey.visiting import scope

SECRET = "what a peer said"


def check(name: str, run: Callable[[Visit], Awaitable[None]], level: Level = Level.IDENTIFY) -> Check:
    """Give a check that does something of the test."""
    return Check(name, f"{name}.", level, "Nothing.", ("fix",), ("control",), lambda _, __: True, run)


@dataclass
class Looked:
    """A run of some checks at some targets."""

    folder: Path
    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    def at(
        self, targets: Iterable[Target], *checks: Check, level: Level = Level.PROVE, within: SurveyScope | None = None
    ) -> Gate:
        """Make them."""
        return asyncio.run(self._made(targets, checks, within or scope(level)))

    async def _made(self, targets: Iterable[Target], checks: tuple[Check, ...], within: SurveyScope) -> Gate:
        async def done(outcome: Outcome) -> None:
            self.outcomes.append(outcome)

        with Journal(self.folder / "journal.jsonl", "a run") as journal:
            gate = Gate(within, journal)
            await asyncio.wait_for(Engine(gate, checks, done).run(targets), 30)
        return gate


def _targets(*hosts: int) -> list[Target]:
    return [Target(ip_address(f"127.0.0.{host}"), 104, number=number) for number, host in enumerate(hosts)]


async def _finds(visit: Visit) -> None:
    visit.known.is_open = True
    visit.report(Exposure.E1)


async def _fails(_: Visit) -> None:
    raise Closed("The peer was silent.")


async def _breaks(_: Visit) -> None:
    raise ValueError(SECRET)


async def _is_odd(visit: Visit) -> None:
    visit.known.is_odd = True


def test_what_could_not_be_made_to_its_end_is_said_and_the_rest_is_made(tmp_path: Path) -> None:
    looked = Looked(tmp_path)
    looked.at(_targets(1), check("fails", _fails), check("finds", _finds))
    (outcome,) = looked.outcomes
    assert outcome.not_tested == ("fails",)
    assert [each.check for each in outcome.findings] == ["finds"]


def test_a_defect_in_a_check_ends_neither_the_run_nor_is_what_the_peer_said_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    looked = Looked(tmp_path)
    looked.at(_targets(1, 2), check("breaks", _breaks))
    assert [outcome.not_tested for outcome in looked.outcomes] == [("breaks",), ("breaks",)]
    assert SECRET not in repr(looked.outcomes)
    assert SECRET not in caplog.text
    assert "a check has a defect" in caplog.text


def test_nothing_more_is_sent_where_something_ended_as_nothing_should(tmp_path: Path) -> None:
    looked = Looked(tmp_path)
    looked.at(_targets(1), check("odd", _is_odd), check("finds", _finds))
    assert looked.outcomes[0].findings == ()


def test_no_check_goes_further_than_the_scope_allows(tmp_path: Path) -> None:
    looked = Looked(tmp_path)
    checks = [check(f"level-{level}", _finds, level) for level in Level]
    looked.at(_targets(1), *checks, level=Level.IDENTIFY)
    assert [each.check for each in looked.outcomes[0].findings] == ["level-0", "level-1"]


def test_a_target_outside_of_the_scope_is_not_looked_at(tmp_path: Path) -> None:
    looked = Looked(tmp_path)
    gate = looked.at([Target(ip_address("192.0.2.1"), 104)], check("finds", _finds))
    assert gate.connections == 0
    assert looked.outcomes[0].findings == ()


def test_who_waits_for_what_never_comes_does_not_hold_a_stop_up(tmp_path: Path) -> None:
    """A check that waits in a library of its own, or for a connection that is filtered."""

    async def waits(visit: Visit) -> None:
        stopping.append(asyncio.create_task(visit.gate.stop()))
        await asyncio.Event().wait()

    stopping: list[asyncio.Task[None]] = []
    looked = Looked(tmp_path)
    gate = looked.at(_targets(1, 2, 3), check("waits", waits))
    assert gate.is_stopped
    assert looked.outcomes == []  # none of them counts as done: the run goes on from there


def test_what_is_known_is_passed_on(tmp_path: Path) -> None:
    seen: list[Known] = []

    async def sees(visit: Visit) -> None:
        seen.append(visit.known)

    Looked(tmp_path).at(_targets(1), check("finds", _finds), check("sees", sees))
    assert seen[0].is_open


# --- many -------------------------------------------------------------------------


def test_a_host_that_makes_one_wait_makes_no_other_host_wait(tmp_path: Path) -> None:
    """A hundred ports of one host, which may be asked once an hour, stand before twenty other hosts."""
    asked: Counter[str] = Counter()

    async def asks(visit: Visit) -> None:
        async with visit.gate.turn(visit.address, visit.port, "asks"):
            visit.known.is_open = True
            asked[str(visit.address)] += 1
        if len(asked) == 21:
            stopping.append(asyncio.create_task(visit.gate.stop()))

    stopping: list[asyncio.Task[None]] = []
    slow = [Target(ip_address("127.0.0.1"), port) for port in range(1, 101)]
    hourly = replace(scope(), rate=Rate(1_000, seconds_between=3_600, hosts_at_once=2))
    Looked(tmp_path).at([*slow, *_targets(*range(2, 22))], check("asks", asks), within=hourly)
    assert set(asked.values()) == {1}
    assert len(asked) == 21


def test_a_host_has_one_worker_and_so_many_are_spoken_to_at_once(tmp_path: Path) -> None:
    at: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    most = {"a host": 0, "all": 0}

    async def asks(visit: Visit) -> None:
        host = str(visit.address)
        at[host] += 1
        most["a host"] = max(most["a host"], at[host])
        async with visit.gate.turn(visit.address, visit.port, "asks"):
            seen["now"] += 1
            most["all"] = max(most["all"], seen["now"])
            for _ in range(10):
                await asyncio.sleep(0)
            seen["now"] -= 1
        at[host] -= 1

    targets = [Target(ip_address(f"127.0.0.{host}"), port) for host in range(1, 9) for port in (104, 11112, 4242)]
    looked = Looked(tmp_path)
    looked.at(targets, check("asks", asks), within=replace(scope(), rate=Rate(10_000, 0, hosts_at_once=3)))
    assert len(looked.outcomes) == 24
    assert most == {"a host": 1, "all": 3}


def test_of_very_many_targets_so_many_are_held_and_no_more(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[Target]:
        nonlocal taken
        for taken in count(1):
            yield Target(ip_address("127.0.0.1"), taken % 65_535 + 1)

    async def hangs(visit: Visit) -> None:
        while taken < HELD:  # noqa: ASYNC110 - another task counts
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        stopping.append(asyncio.create_task(visit.gate.stop()))
        await asyncio.Event().wait()

    stopping: list[asyncio.Task[None]] = []
    Looked(tmp_path).at(endless(), check("hangs", hangs))
    assert taken <= HELD + 1


def test_where_nothing_can_be_kept_the_survey_ends(tmp_path: Path) -> None:
    async def done(_: Outcome) -> None:
        raise OSError("No space left on device")

    async def scene() -> None:
        with Journal(tmp_path / "journal.jsonl", "a run") as journal:
            gate = Gate(scope(), journal)
            targets = (Target(ip_address(f"127.0.0.{number % 200 + 1}"), 104) for number in count())
            await asyncio.wait_for(Engine(gate, [check("finds", _finds)], done).run(targets), 30)

    with pytest.raises(OSError, match="No space"):
        asyncio.run(scene())


def test_who_drips_is_not_waited_for_and_says_nothing_of_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadglass.survey.gate.PATIENCE", 0.2)

    async def listens(visit: Visit) -> None:
        async with visit.connect() as line:
            visit.known.is_open = True
            while True:
                await line.exactly(1)

    def drips(line: Any) -> None:
        while True:
            line.sendall(b"x")
            time.sleep(0.02)

    looked = Looked(tmp_path)
    with listening(drips) as port:
        looked.at([Target(ip_address("127.0.0.1"), port)], check("listens", listens))
    (outcome,) = looked.outcomes
    assert outcome.is_open
    assert outcome.not_tested == ("listens",)


def test_what_this_machine_lacks_says_nothing_of_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def has_no_more(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def connects(visit: Visit) -> None:
        monkeypatch.setattr("leadglass.survey.gate.socket.socket", has_no_more)
        try:
            async with visit.connect():
                pass
        except Unreachable:
            visit.known.is_open = False
        finally:
            monkeypatch.undo()

    looked = Looked(tmp_path)
    looked.at(_targets(1), check("connects", connects))
    (outcome,) = looked.outcomes
    assert outcome.not_tested == ("connects",)
    assert not outcome.is_looked_at  # what was found there before is not gone


def test_what_was_begun_with_is_brought_to_its_end_before_others_are_begun_with(tmp_path: Path) -> None:
    async def asks(visit: Visit) -> None:
        async with visit.gate.turn(visit.address, visit.port, "asks", is_new=True):
            visit.known.is_open = True

    async def asks_more(visit: Visit) -> None:
        for _ in range(5):
            async with visit.gate.turn(visit.address, visit.port, "asks-more"):
                pass

    slow = replace(scope(), rate=Rate(500, 0, hosts_at_once=100))
    looked = Looked(tmp_path)
    looked.at(_targets(*range(1, 101)), check("asks", asks), check("asks-more", asks_more), within=slow)
    acts = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    begun: Counter[str] = Counter()
    most = 0
    for act in acts:
        begun[act["to"]] += 1
        most = max(most, sum(0 < count < 6 for count in begun.values()))
    assert set(begun.values()) == {6}
    assert most <= 40
