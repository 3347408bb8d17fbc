"""The engine: check after check at an endpoint, whatever one of them comes to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.engine import Engine, Outcome, Target
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Closed, Gate
from leadglass.survey.journal import Journal
from leadglass.survey.scope import Level
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

    def at(self, targets: list[Target], *checks: Check, level: Level = Level.PROVE) -> Gate:
        """Make them."""
        return asyncio.run(self._made(targets, checks, level))

    async def _made(self, targets: list[Target], checks: tuple[Check, ...], level: Level) -> Gate:
        async def done(outcome: Outcome) -> None:
            self.outcomes.append(outcome)

        with Journal(self.folder / "journal.jsonl", "a run") as journal:
            gate = Gate(scope(level), journal)
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
