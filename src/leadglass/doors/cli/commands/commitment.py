"""``commitment``: which devices wait for a report of Storage Commitment, and which will not get theirs.

Rule: it only looks; the server does the work.
"""

from datetime import UTC, datetime
from pathlib import Path

import click

from leadglass.doors.cli.options import application_of, data_option, json_option
from leadglass.doors.cli.terminal import Terminal, cell, table
from leadglass.jobs.queue import Job, JobKind, JobState


@click.group("commitment")
def commitment_command() -> None:
    """See what devices asked the archive to take responsibility for.

    A device asks (Storage Commitment), the archive checks every instance and
    reports to the device, again and again until it was heard.
    """


@commitment_command.command("list")
@click.option("--all", "everything", is_flag=True, help="List those that were reported too.")
@data_option
@json_option
@click.pass_context
def commitment_list(context: click.Context, data: Path, *, everything: bool, as_json: bool) -> None:
    """List transactions that are not reported yet, and those that were given up."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        jobs = opened.open_jobs().list(JobKind.COMMITMENT, closed=everything)
    if as_json:
        terminal.json([_as_json(job) for job in jobs])
        return
    if not jobs:
        terminal.tell("No device waits for a report.")
        return
    shown = table(
        "device", "asked", "state", "tried", "next", "what came of it", "Transaction UID", fold=("what came of it",)
    )
    for job in jobs:
        is_open = job.state is JobState.OPEN
        shown.add_row(
            cell(job.owner),
            cell(_moment(job.asked)),
            cell(job.state.value, "red" if job.state is JobState.GIVEN_UP else ""),
            str(job.attempts),
            cell(_moment(job.due) if is_open else ""),
            cell(job.note),
            cell(job.name),
        )
    terminal.show(shown)


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _as_json(job: Job) -> dict[str, object]:
    return {
        "device": job.owner,
        "transaction_uid": job.name,
        "state": job.state.value,
        "asked": _moment(job.asked),
        "attempts": job.attempts,
        "next": _moment(job.due) if job.state is JobState.OPEN else None,
        "until": _moment(job.until),
        "closed": None if job.closed is None else _moment(job.closed),
        "note": job.note,
    }
