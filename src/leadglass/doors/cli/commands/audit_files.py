"""``audit export``, ``audit verify`` and ``audit key``: the log outside of the archive, and what proves it.

Rule: an export needs the archive, and is on record; verifying one needs the file
and the public key, and nothing else.
"""

import base64
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import click

from leadglass.audit.checkpoint import Verifier
from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Event, Outcome
from leadglass.audit.export import export
from leadglass.audit.inspection import FORMATS, messages
from leadglass.audit.meaning import TABLE
from leadglass.audit.proof import Proof, check_export
from leadglass.audit.reading import Selection
from leadglass.audit.verification import Verification
from leadglass.doors.cli.application import Opened
from leadglass.doors.cli.options import application_of, data_option, examples, json_option, moment, study_uid
from leadglass.doors.cli.terminal import Terminal, counted
from leadglass.errors import BadInput, Corrupt, Full, LeadglassError, Misconfigured
from leadglass.policy.action import Action

F = TypeVar("F", bound=Callable[..., object])

_MAX_NOTE: Final = 65_536


def selection_options(command: F) -> F:
    """Add the options that say which records are meant."""
    for option in (
        click.option("--outcome", type=click.Choice([each.value for each in Outcome]), help="That ended so."),
        # A word that no record has would find nothing, which reads as if it had not happened.
        click.option(
            "--action", metavar="WORD", type=click.Choice(sorted(TABLE)), help="Of this kind: store, find, connect, …"
        ),
        click.option("--caller", metavar="NAME", help="By this caller: device:CT1, or CT1."),
        click.option("--study", metavar="UID", callback=study_uid, help="About this study."),
        click.option("--until", metavar="TIME", callback=moment, help="Before then; written like --since."),
        click.option("--since", metavar="TIME", callback=moment, help="From then on: 2026-11-22T08:30, or 24h, or 7d."),
    ):
        command = option(command)
    return command


def record_reading(opened: Opened, what: str, terminal: Terminal, **detail: str) -> None:
    """Decide over reading the log and put it on record."""

    def record(event: Event) -> None:
        try:
            opened.audit.append(event)
        except Corrupt as error:
            # Who looks into a damaged log must be able to see it; nothing else is permitted meanwhile.
            if event.outcome is not Outcome.PERMITTED:
                raise
            terminal.tell(f"leadglass: {error.message}", "red")

    decide_on_record(record, opened.caller, Action.AUDIT, door="cli", detail={"asked": what, **detail})


# --- export ---------------------------------------------------------------------


@click.command(
    "export",
    epilog=examples(
        "leadglass audit export --out audit.jsonl",
        "leadglass audit export --format dicom-xml --since 24h --out - | ship-it-somewhere",
    ),
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="leadglass",
    show_default=True,
    help="leadglass: verifiable anywhere; dicom-xml: PS3.15 A.5 messages, one a line; fhir: AuditEvents as NDJSON.",
)
@click.option("--out", metavar="FILE", required=True, help="Where to; - is standard output. Nothing is overwritten.")
@selection_options
@data_option
@click.pass_context
def audit_export(
    context: click.Context,
    form: str,
    out: str,
    since: datetime | None,
    until: datetime | None,
    study: str | None,
    caller: str | None,
    action: str | None,
    outcome: str | None,
    data: Path,
) -> None:
    """Write records out: the whole log, or those that meet every condition."""
    terminal = Terminal()
    selection = Selection(
        since=since,
        until=until,
        action=action,
        outcome=Outcome(outcome) if outcome else None,
        caller=caller,
        study_uid=study,
    )
    with application_of(context).open(data) as opened, _writing(out) as write:
        record_reading(opened, "export", terminal, format=form, **selection.to_json())
        if form == "leadglass":
            exported = export(opened.audit, selection, write)
            records, more = exported.records, f", signed up to record {exported.size}"
            if exported.omitted:
                more += f"; hashes stand for the other {exported.omitted}"
        else:
            records, more = _write_messages(opened, form, selection, write), ""
    terminal.tell(f"{counted(records, 'record')}{more}.")


def _write_messages(opened: Opened, form: str, selection: Selection, write: Callable[[bytes], object]) -> int:
    count = 0
    with opened.audit.reader() as reader:
        for line in messages(reader, form, selection, opened.config.ae_title):
            write(line)
            count += 1
    return count


@contextmanager
def _writing(out: str) -> Generator[Callable[[bytes], object]]:
    """Write to a new file, which is there whole or not at all, or to standard output."""
    if out == "-":
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    path = Path(out)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    if path.exists():
        raise BadInput(f"{path} is there already, and nothing is overwritten. Name another with --out.")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:
                yield file.write
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
    except OSError as error:
        raise Full(f"{path} cannot be written: {error.strerror or error}. Name another with --out.") from error


# --- key ------------------------------------------------------------------------


@click.command("key", epilog=examples("leadglass audit key --out leadglass-audit.pub"))
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Write it there instead of showing it.")
@data_option
@click.pass_context
def audit_key(context: click.Context, out: Path | None, data: Path) -> None:
    """Show the log's public key, for audit verify elsewhere. It is no secret; keep it where nobody can change it."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        text = opened.audit.verifier.to_text()
    if out is None:
        terminal.say(text)
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise BadInput(f"{out} is there already, and nothing is overwritten. Name another with --out.") from None
    except OSError as error:
        raise Misconfigured(f"{out} cannot be written: {error.strerror}. Name another with --out.") from error


# --- verify ---------------------------------------------------------------------


@click.command(
    "verify",
    epilog=examples(
        "leadglass audit verify --checkpoint /safe/place/audit.checkpoint",
        "leadglass audit verify audit.jsonl --key leadglass-audit.pub --checkpoint /mnt/worm/checkpoints",
    ),
)
@click.argument("export_file", metavar="[FILE]", required=False)
@click.option("--key", metavar="KEY", help="The log's public key (audit key), or the file it is in. Needed with FILE.")
@click.option(
    "--checkpoint",
    "--against",
    "kept",
    metavar="FILE|DIR",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="A signed head that was kept elsewhere, or a folder of them: the log has to contain each.",
)
@data_option
@json_option
@click.pass_context
def audit_verify(
    context: click.Context,
    export_file: str | None,
    key: str | None,
    kept: tuple[Path, ...],
    data: Path,
    *,
    as_json: bool,
) -> None:
    """Re-hash every record and compare with what was signed. Exit 1 when anything was touched.

    Without FILE: the archive's own log. That includes the copy of the newest
    signed head beside it (audit.checkpoint): changed or missing is exit 1.

    With FILE: an export (audit export --format leadglass; - is standard input).
    That needs the file and the public key, and no archive.
    """
    terminal = Terminal()
    if export_file is not None:
        if key is None:
            raise click.UsageError("An export is verified with the log's public key: --key KEY.", context)
        found = _verify_export(export_file, _key_of(key), kept)
        _show_proof(terminal, found, as_json=as_json)
        context.exit(0 if found.ok else 1)
    if key is not None:
        raise click.UsageError("--key is for an export: name its FILE.", context)
    with application_of(context).open(data) as opened:
        notes = notes_in(kept, opened.audit.verifier)
        verification = opened.audit.verify(*notes)
        with suppress(LeadglassError):  # what was found is told whether or not it can be noted
            opened.open_exposure().verified(0 if verification.ok and not verification.warnings else 1)
        copy = opened.audit.checkpoint_path
    # The copy beside the log is part of the record: who took or changed it has touched the record.
    whole = verification.ok and not verification.warnings
    _show_verification(terminal, verification, copy, as_json=as_json, whole=whole)
    context.exit(0 if whole else 1)


def _key_of(text: str) -> Verifier:
    """Read a public key, or the file that holds it."""
    path = Path(text)
    with suppress(OSError):
        if path.is_file():
            text = _small_text(path)
        elif text.count("+") < 2:
            raise Misconfigured(f"{text} is neither a file nor a log's public key. leadglass audit key prints the key.")
    return Verifier.from_text(text)


def _small_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_NOTE + 1).decode("utf-8", "replace")
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read ({error.strerror}). Name a file that you may read.") from error


def notes_in(kept: tuple[Path, ...], verifier: Verifier) -> list[str]:
    """Give the signed heads in files and folders.

    Raises
    ------
    Corrupt
        When a file is no head of this log, or a folder holds none.
    """
    notes: list[str] = []
    for path in kept:
        if not path.is_dir():
            notes.append(_small_text(path))
            continue
        # Other logs may keep theirs in the same folder; what bears this log's name has to be this log's.
        found = [_small_text(each) for each in sorted(path.glob("*.checkpoint"))]
        mine = [note for note in found if note.startswith(verifier.origin + "\n")]
        if not mine:
            raise Corrupt(f"{path} holds no signed head of this log. Name the folder that they were kept in.")
        notes += mine
    for note in notes:
        verifier.open(note)
    return notes


def _verify_export(name: str, verifier: Verifier, kept: tuple[Path, ...]) -> Proof:

    notes = notes_in(kept, verifier)
    if name == "-":
        return check_export(sys.stdin.buffer, verifier, notes)
    stream: BinaryIO
    try:
        with Path(name).open("rb", buffering=1 << 20) as stream:
            return check_export(stream, verifier, notes)
    except OSError as error:
        raise Misconfigured(f"{name} cannot be read ({error.strerror}). Name a file that you may read.") from error


def _show_proof(terminal: Terminal, found: Proof, *, as_json: bool) -> None:
    fault = found.fault
    if as_json:
        terminal.json(
            {
                "ok": found.ok,
                "records": found.records,
                "omitted": found.omitted,
                "first": found.first,
                "last": found.last,
                "first_time": found.first_time.isoformat() if found.first_time else None,
                "last_time": found.last_time.isoformat() if found.last_time else None,
                "size": found.size,
                "root": base64.b64encode(found.root).decode(),
                "selection": found.selection,
                "compared": found.compared,
                "fault": {"sequence": fault.sequence, "what": fault.what} if fault else None,
            }
        )
        return
    if fault is not None:
        terminal.say(f"{f'Record {fault.sequence}' if fault.sequence else 'The file'} {fault.what}.", "bold red")
        terminal.say(f"{counted(found.records, 'record')} before it are right.")
        return
    terminal.say(f"{counted(found.records, 'record')} are right; signed up to record {found.size}.")
    if found.first_time is not None and found.last_time is not None:
        terminal.say(
            f"From record {found.first} ({found.first_time:%Y-%m-%d %H:%M:%S} UTC) "
            f"to record {found.last} ({found.last_time:%Y-%m-%d %H:%M:%S} UTC)."
        )
    if found.omitted:
        asked = ", ".join(f"{name}={value}" for name, value in found.selection.items())
        terminal.say(
            f"{counted(found.omitted, 'record')} were not exported and are not covered; "
            f"the archive signed that it gave those with {asked}.",
            "yellow",
        )
    if found.compared:
        terminal.say(f"{counted(found.compared, 'signed head')} kept elsewhere fit.")
    else:
        terminal.say("Compared with no head kept elsewhere: this may be the log of an earlier day.")
    terminal.say(f"root {base64.b64encode(found.root).decode()}")


def _show_verification(terminal: Terminal, found: Verification, copy: Path, *, as_json: bool, whole: bool) -> None:
    if as_json:
        terminal.json(
            {
                "ok": whole,
                "records": found.records,
                "checkpoints": found.checkpoints,
                "signed": found.signed,
                "root": base64.b64encode(found.root).decode(),
                "fault": {"sequence": found.fault.sequence, "what": found.fault.what} if found.fault else None,
                "warnings": list(found.warnings),
            }
        )
        return
    for warning in found.warnings:
        terminal.say(f"{warning} ({copy})", "bold red")
    if found.fault is not None:
        terminal.say(f"Record {found.fault.sequence} {found.fault.what}.", "bold red")
        terminal.say(f"{counted(found.records, 'record')} before it are right.")
    else:
        terminal.say(
            f"{counted(found.records, 'record')} and {counted(found.checkpoints, 'signed head')} are right; "
            f"signed up to record {found.signed}."
        )
        terminal.say(f"root {base64.b64encode(found.root).decode()}")
    if found.warnings:
        terminal.tell(
            "Find out who did it, and compare with a head kept elsewhere: leadglass audit verify --checkpoint FILE. "
            f"Then move what is left of {copy.name} away: the archive writes a new one with the next signed head."
        )
