"""Runs without a network: outcomes as the engine gives them, kept and concluded as a survey does."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from ipaddress import ip_address
from pathlib import Path

from leadglass.survey import scope
from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.engine import Outcome, Target
from leadglass.survey.entries import Tally
from leadglass.survey.findings import Exposure, Finding, severity_of
from leadglass.survey.register import Register
from leadglass.survey.report import model
from leadglass.survey.scope import SurveyScope, Vantage
from leadglass.survey.state import Run, State

SCOPE = """
[survey]
owner = "Clinic"
contact = "tel. 4711"
authorised_by = "the head of IT"
valid_from = 2026-01-01
valid_until = 2026-12-31
vantage = "{vantage}"
[scope]
networks = ["192.0.2.0/24"]
"""

STRANGERS = "dicom-answers"
QUERIES = "dicom-query"
BOTH = (STRANGERS, QUERIES)


def found(
    address: str = "192.0.2.10",
    port: int = 104,
    check: str = QUERIES,
    exposure: Exposure = Exposure.E3,
    *,
    vantage: Vantage = Vantage.INTERNAL,
    proof: dict[str, str | int] | None = None,
    inferred: bool = False,
) -> Finding:
    """Make a finding."""
    return Finding(
        check=check,
        address=ip_address(address),
        port=port,
        transport="tcp",
        title="It answers anybody's questions.",
        exposure=exposure,
        severity=severity_of(exposure, vantage, in_clear=True),
        proof=proof or {"status": 0},
        not_tested=("Retrieval was not tried.",),
        fixes=("dicom-know-your-callers", "firewall-dicom"),
        controls=("PS3.15 B.12",),
        inferred=inferred,
    )


@dataclass(slots=True)
class Followed:
    """A folder of surveys, and its register.

    Parameters
    ----------
    state : State
        Of a folder.
    register : Register
        In it.
    scope : SurveyScope
        Of them.
    """

    state: State
    register: Register
    scope: SurveyScope

    def run(
        self,
        findings: Iterable[Finding] = (),
        *,
        day: date = date(2026, 3, 1),
        looked: Iterable[tuple[str, int]] = (("192.0.2.10", 104),),
        shut: Iterable[tuple[str, int]] = (),
        untested: Iterable[str] = (),
        unproven: Iterable[str] = (),
        checks: Iterable[str] = BOTH,
        stopped: bool = False,
        heard: bool = False,
    ) -> tuple[Run, Tally]:
        """Make a run that looked at endpoints and found what it is given, and conclude it."""
        made = list(findings)
        answered = dict.fromkeys([*((str(each.address), each.port) for each in made), *looked])
        run = self.state.begin(self.scope, "targets", len(answered))
        self.state.makes(run.id, checks)
        outcomes = [
            Outcome(
                Target(ip_address(address), port),
                is_open=True,
                findings=tuple(each for each in made if (str(each.address), each.port) == (address, port)),
                not_tested=tuple(untested),
                unproven=tuple(unproven),
            )
            for address, port in answered
        ] + [Outcome(Target(ip_address(address), port), is_open=False, findings=()) for address, port in shut]
        for number, each in enumerate(outcomes):
            target = Target(each.target.address, each.target.port, number=number)
            self.state.done(
                run.id, Outcome(target, each.is_open, each.findings, each.not_tested, each.unproven, each.is_looked_at)
            )
        if heard:
            self.state.heard(run.id)
        self.state.end(run.id, len(outcomes), stopped=stopped)
        run = self.state.run(run.id)
        return run, self.register.conclude(run, day)

    def standings(self) -> list[str]:
        """Give where every entry stands."""
        return [each.standing.value for each in self.register.entries()]

    def report(self, run: Run, *, day: date = date(2026, 3, 1)) -> model.Report:
        """Make the report of a run."""
        made = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        return model.build(self.state, self.register, run, CHECKS, made=made, version="0.0")


def followed(folder: Path, vantage: Vantage = Vantage.INTERNAL) -> Followed:
    """Begin a folder of surveys."""
    state = State(folder / "clinic.survey", writes=True)
    return Followed(state, Register(state), scope.parse(SCOPE.format(vantage=vantage.value)))
