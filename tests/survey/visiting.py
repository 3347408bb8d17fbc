"""A visit of some checks to one endpoint on loopback, through the real engine and gate, its journal kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from leadglass.survey.check import Check
from leadglass.survey.engine import Engine, Outcome, Target
from leadglass.survey.findings import Finding
from leadglass.survey.gate import Gate
from leadglass.survey.journal import Journal
from leadglass.survey.scope import Level, Rate, SurveyScope


@dataclass(frozen=True, slots=True)
class Visited:
    """What a visit came to.

    Parameters
    ----------
    outcome : Outcome
        As the engine gives it.
    journal : str
        All lines of its journal.
    """

    outcome: Outcome
    journal: str

    @property
    def rungs(self) -> dict[str, str]:
        """The ladder's rung of each check that found something."""
        return {each.check: each.exposure.name for each in self.outcome.findings}

    def finding(self, check: str) -> Finding:
        """Give what a check found."""
        return next(each for each in self.outcome.findings if each.check == check)

    @property
    def said(self) -> str:
        """All that is kept of it, to look in for what must not be there."""
        return repr(self.outcome) + self.journal


def scope(level: Level = Level.PROVE) -> SurveyScope:
    """Give a scope of loopback that is in a hurry."""
    today = date.today()  # noqa: DTZ011 - any day in force does
    return SurveyScope(
        owner="a clinic",
        contact="its technician",
        authorised_by="its director",
        valid_from=today - timedelta(days=1),
        valid_until=today + timedelta(days=1),
        networks=(ip_network("127.0.0.0/24"),),
        level=level,
        rate=Rate(connections_per_second=1_000, seconds_between=0),
    )


def visit(folder: Path, port: int, checks: Sequence[Check], level: Level = Level.PROVE) -> Visited:
    """Make the checks at one port of 127.0.0.1."""

    async def made() -> Outcome:
        found: list[Outcome] = []

        async def done(outcome: Outcome) -> None:
            found.append(outcome)

        with Journal(folder / "journal.jsonl", "a run") as journal:
            gate = Gate(scope(level), journal)
            await Engine(gate, checks, done).run([Target(ip_address("127.0.0.1"), port)])
        return found[0]

    outcome = asyncio.run(made())
    return Visited(outcome, (folder / "journal.jsonl").read_text())
