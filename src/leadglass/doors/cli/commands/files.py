"""``import``, ``export`` and ``delete``: files in, files out, and gone.

Rule: each says at the end what became of what it was given.
"""

import errno
import os
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

import click
from rich.table import Table

from leadglass import memory
from leadglass.dicom import dictionary, tags
from leadglass.dicom.matching import Level, Query, Root, query_from_identifier
from leadglass.dicom.model import Attributes
from leadglass.doors.cli.application import Opened
from leadglass.doors.cli.exporting import Exported, check_destination, export
from leadglass.doors.cli.options import application_of, data_option, examples, json_option, study_uid, study_uids
from leadglass.doors.cli.terminal import Terminal, cell, counted, size_of, table
from leadglass.doors.importing import THREADS, Fate, Tally, import_sources
from leadglass.doors.sources import Found, roam, walk
from leadglass.errors import BadInput, Full, Misconfigured, NotHere

_SHOWN_REASONS: Final = 20
"""Reasons listed in the table; the rest is in --json."""

_DATES: Final = re.compile(r"[0-9]{8}|[0-9]{8}-|-[0-9]{8}|[0-9]{8}-[0-9]{8}")
"""A date or a range of dates (PS3.4 C.2.2.2.5.1)."""


# --- import -------------------------------------------------------------------


@click.command(
    "import",
    epilog=examples("leadglass import /media/cdrom", "leadglass import old-archive/ more.zip one.dcm --verbose"),
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--verbose", is_flag=True, help="Name every file that was not taken in.")
@click.option(
    "--threads",
    type=click.IntRange(1, 16),
    default=min(THREADS, os.cpu_count() or 1),
    show_default="as many as processors, 4 at most",
    help="Files read at one time.",
)
@data_option
@json_option
@click.pass_context
def import_command(
    context: click.Context, paths: tuple[Path, ...], data: Path, threads: int, *, verbose: bool, as_json: bool
) -> None:
    """Bring files in: single files, folders with all below, ZIPs, and media with a DICOMDIR.

    A bad file never stops the others. The table at the end says how many were
    stored, were already there, are in conflict (kept in quarantine) or were
    refused, and why. Exit 0 when all went in, 3 when some did, 1 when none did.

    Hidden and system files and symbolic links inside folders are passed over.
    Media are read through their folders; what a DICOMDIR refers to outside of
    them is not followed.
    """
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        tally = _import(opened, paths, threads, terminal)
    if as_json:
        terminal.json(_as_json(tally))
    else:
        _show(tally, terminal, verbose=verbose)
    context.exit(_exit_code(tally))


def _import(opened: Opened, paths: tuple[Path, ...], threads: int, terminal: Terminal) -> Tally:
    total = 0
    if terminal.is_watched:
        total = sum(isinstance(source, Found) for source in walk(paths))
    counter = [0]
    lock = Lock()
    with terminal.progress("Importing") as told:

        def done(octets: int) -> None:
            with lock:
                counter[0] += 1
                told(counter[0], max(total, counter[0]), octets)

        memory.settle()
        return import_sources(opened.archive, opened.caller, roam(paths), threads=threads, done=done)


def _exit_code(tally: Tally) -> int:
    if not tally.turned_away and not tally.interrupted and tally.taken:
        return 0
    return 3 if tally.taken else 1


_STYLES: Final = {Fate.STORED: "green", Fate.IN_CONFLICT: "yellow", Fate.REFUSED: "red", Fate.SKIPPED: "dim"}


def _show(tally: Tally, terminal: Terminal, *, verbose: bool) -> None:
    if verbose and tally.not_taken:
        for missing in tally.not_taken:
            terminal.say(f"{missing.fate}: {missing.name}: {missing.reason}")
        terminal.say()
    shown = table("outcome", "files", "why", right=("files",), fold=("why",))
    for fate in Fate:
        count = tally.counts[fate]
        if count or fate not in {Fate.SKIPPED, Fate.WAITING}:
            style = _STYLES.get(fate, "") if count else "dim"
            shown.add_row(cell(fate, style), cell(f"{count:,}", style), "")
            _add_reasons(shown, tally, fate)
    terminal.show(shown)
    studies = counted(len(tally.studies), "study", "studies")
    terminal.say(f"{size_of(tally.octets)} in {studies} are on stable storage.")
    for warning, number in tally.warnings.most_common(_SHOWN_REASONS):
        terminal.tell(f"note: {counted(number, 'file')}: {warning}")
    for hint in _hints(tally, verbose=verbose):
        terminal.tell(hint)


def _add_reasons(shown: Table, tally: Tally, fate: Fate) -> None:
    reasons = [(number, why) for (kind, why), number in tally.reasons.most_common() if kind is fate]
    for number, why in reasons[:_SHOWN_REASONS]:
        shown.add_row("", cell(f"{number:,}", "dim"), cell(why, "dim"))
    if len(reasons) > _SHOWN_REASONS:
        shown.add_row("", "", cell(f"and {len(reasons) - _SHOWN_REASONS:,} other reasons (--json lists all)", "dim"))


def _hints(tally: Tally, *, verbose: bool) -> Iterator[str]:
    if tally.interrupted:
        yield "leadglass: stopped before the end; what the table counts as stored is stored."
    if tally.counts[Fate.IN_CONFLICT]:
        yield "What is in conflict is kept aside: leadglass quarantine list"
    if tally.turned_away and not verbose:
        yield "--verbose names the files that were not taken in."
    if not tally.taken and not tally.turned_away:
        yield "leadglass: there was nothing to import."


def _as_json(tally: Tally) -> dict[str, object]:
    return {
        "stored": tally.counts[Fate.STORED],
        "already_there": tally.counts[Fate.ALREADY_THERE],
        "in_conflict": tally.counts[Fate.IN_CONFLICT],
        "refused": tally.counts[Fate.REFUSED],
        "skipped": tally.counts[Fate.SKIPPED],
        "interrupted": tally.interrupted,
        "octets": tally.octets,
        "studies": sorted(tally.studies),
        "reasons": [
            {"outcome": _key(fate), "reason": reason, "files": number}
            for (fate, reason), number in tally.reasons.most_common()
        ],
        "not_taken": [
            {"path": missing.name, "outcome": _key(missing.fate), "reason": missing.reason}
            for missing in tally.not_taken
        ],
        "warnings": [{"warning": warning, "files": number} for warning, number in tally.warnings.most_common()],
    }


def _key(fate: Fate) -> str:
    return fate.replace(" ", "_")


# --- export -------------------------------------------------------------------


@click.command(
    "export",
    epilog=examples(
        "leadglass export --study 1.2.3 --out /media/usb/study",
        "leadglass export --query PatientID=4711 --query StudyDate=20260101- --out patient.zip",
    ),
)
@click.option("--study", "studies", multiple=True, metavar="UID", callback=study_uids, help="A study; may be repeated.")
@click.option(
    "--query",
    "conditions",
    multiple=True,
    metavar="KEYWORD=VALUE",
    help="Studies that match, as in C-FIND; may be repeated, all must hold.",
)
@click.option(
    "--out",
    required=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="A new or empty folder, or a new file whose name ends in .zip.",
)
@data_option
@json_option
@click.pass_context
def export_command(
    context: click.Context,
    studies: tuple[str, ...],
    conditions: tuple[str, ...],
    out: Path,
    data: Path,
    *,
    as_json: bool,
) -> None:
    """Write studies out as DICOM files with a DICOMDIR, into a folder or a ZIP.

    The data sets are those that were received, bit by bit. The destination
    appears when it is whole; nothing is written over. Exit 3 when some
    instances could not be read; they are named.

    What is exported is no longer sealed, and this program no longer guards it.
    """
    if bool(studies) == bool(conditions):
        raise click.UsageError("Name either --study or --query.")
    terminal = Terminal()
    query = _query(conditions) if conditions else None
    with _writing_to(out):
        check_destination(out)
    with application_of(context).open(data) as opened:
        uids = list(studies) if query is None else _matching(opened, query)
        with _writing_to(out), terminal.progress("Exporting") as told:
            result = export(opened.archive, opened.caller, uids, out, told)
    if as_json:
        terminal.json(_exported_as_json(result, out))
    else:
        terminal.say(
            f"{counted(result.instances, 'instance')} of {counted(result.studies, 'study', 'studies')} "
            f"({size_of(result.octets)}) written to {out}"
        )
        for missing in result.missing:
            terminal.say(f"not exported: {missing.sop_instance_uid}: {missing.reason}")
    context.exit(3 if result.missing else 0)


@contextmanager
def _writing_to(out: Path) -> Generator[None]:
    """Say what the system says of the destination, and what to do.

    Raises
    ------
    Full
        When its disk is.
    Misconfigured
        When it cannot be written to.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read our messages has left
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full(f"The disk of {out} is full. Make room, or name another with --out.") from error
        raise Misconfigured(f"{out} cannot be written to: {error.strerror}. Name another with --out.") from error


def _query(conditions: tuple[str, ...]) -> Query:
    """Read ``KEYWORD=VALUE`` conditions as a query at the study level."""
    tag_of = {entry[4].casefold(): tag for tag, entry in dictionary.elements().items()}
    identifier: Attributes = {
        tags.key(tags.QueryRetrieveLevel): {"vr": "CS", "Value": [Level.STUDY.value]},
        tags.key(tags.StudyInstanceUID): {"vr": "UI"},
    }
    for condition in conditions:
        keyword, equals, value = condition.partition("=")
        tag = tag_of.get(keyword.casefold())
        if not equals or not value:
            raise click.UsageError(f"{condition!r} is not KEYWORD=VALUE, as in PatientID=4711 or StudyDate=20260101-.")
        if tag is None:
            raise click.UsageError(f"{keyword!r} is an unknown attribute. Use keywords of DICOM, as in PatientID=4711.")
        vr = dictionary.vr(tag)
        if vr == "DA" and _DATES.fullmatch(value) is None:
            raise click.UsageError(
                f"{value!r} is no {keyword}: write 20040119, or a range: 20040101-20041231, 20040101-, -20041231."
            )
        values: list[object] = [{"Alphabetic": value}] if vr == "PN" else list(value.split("\\"))
        identifier[tags.key(tag)] = {"vr": vr, "Value": values}
    try:
        query = query_from_identifier(identifier, root=Root.STUDY, relational=False)
    except BadInput as error:
        raise click.UsageError(error.message) from error
    if query.ignored:
        # A condition that is not looked at would export more than was asked for.
        names = ", ".join(sorted(dictionary.keyword(int(key, 16)) for key in query.ignored))
        raise click.UsageError(f"{names} cannot be asked of a study. Use attributes of the patient or the study.")
    return query


def _matching(opened: Opened, query: Query) -> list[str]:
    key = tags.key(tags.StudyInstanceUID)
    found = [str(uid) for match in opened.archive.find(opened.caller, query) for uid in match[key].get("Value", [])]
    if not found:
        raise NotHere("No study here matches. Nothing was exported.")
    return found


def _exported_as_json(result: Exported, out: Path) -> dict[str, object]:
    return {
        "out": str(out),
        "studies": result.studies,
        "instances": result.instances,
        "octets": result.octets,
        "missing": [
            {"sop_instance_uid": missing.sop_instance_uid, "reason": missing.reason} for missing in result.missing
        ],
    }


# --- delete -------------------------------------------------------------------


@click.command("delete", epilog=examples("leadglass delete --study 1.2.826.0.1.3680043.8.498.1"))
@click.option("--study", required=True, metavar="UID", callback=study_uid, help="The study's Study Instance UID.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
@json_option
@click.pass_context
def delete_command(context: click.Context, study: str, data: Path, *, yes: bool, as_json: bool) -> None:
    """Delete a study. Its key goes first, so that copies of its objects alone cannot be opened either.

    This cannot be undone. A backup of the whole archive still opens it until that backup is destroyed.
    """
    terminal = Terminal()
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("Nobody is there to be asked. Add --yes to delete without asking.")
        click.confirm(f"Delete study {study}? This cannot be undone", abort=True, err=True)
    with application_of(context).open(data) as opened:
        deleted = opened.archive.delete(opened.caller, study)
    if as_json:
        terminal.json(
            {
                "studies": deleted.studies,
                "instances": deleted.instances,
                "quarantined": deleted.quarantined,
                "octets": deleted.octets,
            }
        )
    else:
        kept = f" and {counted(deleted.quarantined, 'instance')} in quarantine" if deleted.quarantined else ""
        said = f"{counted(deleted.instances, 'instance')}{kept} ({size_of(deleted.octets)})"
        terminal.say(f"Deleted {said}, their key first.")
