"""What the commands of ``survey`` share: a run with its display, and what it came to for people and programs."""

import os
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import click

from leadglass.doors.cli.terminal import Terminal, cell, counted, table
from leadglass.hardening import keep_memory_private
from leadglass.survey import running, scope
from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.engine import Outcome
from leadglass.survey.findings import Finding, Severity
from leadglass.survey.state import Run, State, Status

_SHOWN: Final = 0.1
"""Seconds between two changes of what is shown."""

SCOPE = click.argument("scope_file", metavar="SCOPE.toml", type=click.Path(path_type=Path, dir_okay=False))


@contextmanager
def for_its_owner() -> Generator[None]:
    """Make files that are their owner's alone inside; whoever else lives in this process makes theirs as before."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def look_at(terminal: Terminal, allowed: scope.SurveyScope, state: State, run: Run) -> bool:
    """Look at what is left of a run's targets, showing how far one is; gives whether it came to its end."""
    lost = [name for name, found in allowed.hosts.items() if not found]
    if lost:
        terminal.tell(f"This machine knows no address of {', '.join(lost)}: nothing is looked at there.")
    keep_memory_private()  # what peers say passes through it: no core file is to hold it
    targets = running.sweep(allowed) if run.source == "scope" else state.given(run.id)
    severities = Counter(each.severity for each in state.findings(run.id))

    def by_severity() -> str:
        found = (f"{severities[each]:,} {each}" for each in reversed(Severity) if severities[each])
        return " · ".join(found)

    with terminal.progress("Looking", octets=False, beside=by_severity) as advance:
        looked, shown = run.done, monotonic()
        advance(looked, run.targets, 0)

        def told(outcome: Outcome) -> None:
            nonlocal looked, shown
            looked += 1
            severities.update(each.severity for each in outcome.findings)
            if looked == run.targets or monotonic() - shown > _SHOWN:
                shown = monotonic()
                advance(looked, run.targets, 0)

        return running.survey(allowed, state, run, targets, CHECKS, told)


def finish(
    terminal: Terminal, scope_file: Path, state: State, run: str, *, is_whole: bool, fail_on: str | None, as_json: bool
) -> int:
    """Show what a run came to; gives the exit code."""
    found = state.findings(run)
    show(terminal, state.run(run), found, as_json=as_json)
    if not is_whole:
        terminal.tell(f"Stopped. Go on with: leadglass survey run {scope_file} --resume")
        return 3
    if found and not as_json:
        terminal.tell(
            f"The report, with how to close each: leadglass survey report {scope_file} --out {scope_file.stem}.html"
        )
    worst = list(Severity)
    return int(
        fail_on is not None and any(worst.index(each.severity) >= worst.index(Severity(fail_on)) for each in found)
    )


def show(terminal: Terminal, run: Run, found: list[Finding], *, as_json: bool) -> None:
    """Show what a run came to."""
    if as_json:
        terminal.json({"run": run_as_json(run), "findings": [finding_as_json(each) for each in found]})
        return
    rows = table("severity", "ladder", "where", "what", "why")
    for each in found:
        where = "-" if each.address is None else f"{each.address}:{each.port}"
        rows.add_row(
            cell(each.severity),
            cell(each.exposure.name),
            cell(where),
            cell(each.title),
            cell(", ".join(f"{name} {value}" for name, value in each.proof.items())),
        )
    if found:
        terminal.show(rows)
    ended = {Status.DONE: "is done", Status.STOPPED: "was stopped", Status.RUNNING: "goes on, or was cut off"}
    terminal.tell(
        f"Run {run.number} {ended[run.status]}: {run.done:,} of {counted(run.targets, 'endpoint')} looked at, "
        f"{run.open:,} answered, {counted(len(found), 'finding')}."
    )


def run_as_json(run: Run) -> dict[str, object]:
    """Give a run for machines."""
    return {
        "id": run.id,
        "number": run.number,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat() if run.ended else None,
        "status": run.status.value,
        "level": run.level,
        "vantage": run.vantage,
        "source": run.source,
        "targets": run.targets,
        "done": run.done,
        "open": run.open,
        "connections": run.connections,
    }


def finding_as_json(finding: Finding) -> dict[str, object]:
    """Give a finding for machines."""
    return {
        "id": finding.id,
        "check": finding.check,
        "address": None if finding.address is None else str(finding.address),
        "port": finding.port,
        "transport": finding.transport,
        "title": finding.title,
        "exposure": finding.exposure.name,
        "severity": finding.severity.value,
        "proof": dict(finding.proof),
        "not_tested": list(finding.not_tested),
        "fixes": list(finding.fixes),
        "controls": list(finding.controls),
        "inferred": finding.inferred,
    }
