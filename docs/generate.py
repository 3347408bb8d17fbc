"""Writes what is made from code: pages of ``docs/`` (configuration, command line, tables) and the catalogue of texts.

Rule: what the code knows is written down once, in the code. ``tests/test_docs.py``
fails when a page is not what this script would write. ``--check`` only compares.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import click
import texts

from leadglass import config
from leadglass.dicom import dictionary, sop_classes, uids
from leadglass.dicom.matching import Level
from leadglass.doors.cli.main import leadglass
from leadglass.doors.dicomweb.operations import OPERATIONS
from leadglass.doors.dicomweb.qido_query import keywords
from leadglass.doors.dimse.negotiation import UNDERSTOOD
from leadglass.doors.dimse.status import TABLES, Service, Status
from leadglass.doors.web.problem import TABLE as PROBLEMS
from leadglass.errors import Kind
from leadglass.exposure.checks.table import CHECKS
from leadglass.exposure.finding import Severity
from leadglass.exposure.scoring import CAPS, GRADES, POINTS

DOCS = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/generate.py; `make docs` writes it anew. -->"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    """Turn reStructuredText's literals into Markdown's."""
    return text.replace("``", "`")


# --- configuration ----------------------------------------------------------------


def _field_docs(kind: type[object]) -> dict[str, str]:
    """Give the sentence that stands below each field of a dataclass."""
    tree = ast.parse(inspect.getsource(kind)).body[0]
    docs: dict[str, str] = {}
    if not isinstance(tree, ast.ClassDef):
        return docs
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            docs[field.target.id] = _code(_one_line(str(below.value.value)))
    return docs


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case ():
            return "[]"
        case int() if value >= 10_000:
            return f"{value:_}"
        case _:
            return str(value)


def _section(name: str, section: object) -> Iterator[str]:
    docs = _field_docs(type(section))
    plain = [each for each in fields(section) if not is_dataclass(getattr(section, each.name))]  # type: ignore[arg-type]
    if not plain:
        return
    if name:
        yield f"## `[{name}]`"
        yield ""
        yield _code(_one_line(type(section).__doc__ or ""))
        yield ""
    yield "| key | default | bounds | meaning |"
    yield "|---|---|---|---|"
    for each in plain:
        bounds = each.metadata
        limits = f"{bounds['least']:,} to {bounds['most']:,}" if bounds else ""
        yield f"| `{each.name}` | `{_toml(getattr(section, each.name))}` | {limits} | {docs.get(each.name, '')} |"
    yield ""
    for each in fields(section):  # type: ignore[arg-type]
        value = getattr(section, each.name)
        if name and is_dataclass(value):
            yield from _section(f"{name}.{each.name}", value)


def configuration() -> str:
    """Give docs/configuration.md."""
    defaults = config.Config()
    lines = [
        "# Configuration",
        "",
        NOTE,
        "",
        f"Settings are read from `{config.FILE_NAME}` in the data folder at start; without the file everything has its "
        "default. A key nobody knows, a value of another type or out of bounds is an error that names the key: a "
        "misspelt safety setting must not be silently absent. What makes the archive less safe begins with `unsafe_`, "
        "is shown and put on record at every start.",
        "",
        "```toml",
        'ae_title = "LEADGLASS"',
        "",
        "[listen]",
        'dicom_tls = "10.1.2.3:2762"',
        "```",
        "",
        *_section("", defaults),
    ]
    for each in fields(defaults):
        value = getattr(defaults, each.name)
        if is_dataclass(value):
            lines += _section(each.name, value)
    return "\n".join(lines).rstrip() + "\n"


# --- command line -----------------------------------------------------------------


def _help(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(
        command, info_name=path.rsplit(" ", 1)[-1], parent=parent, max_content_width=100, terminal_width=100
    )
    yield f"{'##' if parent is None else '###' if path.count(' ') == 1 else '####'} `{path}`"
    yield ""
    yield "```"
    text = re.sub(r"\x1b\[[0-9;]*m", "", command.get_help(context))
    yield from (line.rstrip() for line in text.splitlines())
    yield "```"
    yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _help(below, f"{path} {name}", context)


def command_line() -> str:
    """Give docs/cli.md."""
    lines = [
        "# Command line",
        "",
        NOTE,
        "",
        "Results go to stdout, messages to stderr. `--json` is there where a machine would read. "
        "Exit 0 done, 1 refused or failed, 2 wrong usage, 3 done in part (the output says what was not).",
        "",
        *_help(leadglass, "leadglass", None),
    ]
    return "\n".join(lines).rstrip() + "\n"


# --- conformance ------------------------------------------------------------------


def _by_uid(pairs: list[str]) -> list[str]:
    return sorted(pairs, key=lambda uid: [int(part) for part in uid.split(".")])


def _transfer_syntaxes() -> list[str]:
    known = [uid for uid, (_, kind, *_) in dictionary.uids().items() if kind == "Transfer Syntax"]
    return _by_uid(known)


def _tables() -> dict[str, str]:
    """Give each generated table of docs/conformance.md by its name."""
    services: list[tuple[str, str]] = [
        (sop_classes.VERIFICATION, "`echo`"),
        *((uid, "`find`") for uid in sorted(sop_classes.FIND)),
        *((uid, "`move`") for uid in sorted(sop_classes.MOVE)),
        *((uid, "`get`") for uid in sorted(sop_classes.GET)),
        (sop_classes.STORAGE_COMMITMENT_PUSH_MODEL, "`commit`"),
    ]
    return {
        "services": _table(
            ("SOP class", "UID", "role", "needs the grant"),
            ((sop_classes.name_of(uid), f"`{uid}`", "SCP", grant) for uid, grant in services),
        ),
        "storage": _table(
            ("SOP class", "UID"),
            ((sop_classes.name_of(uid), f"`{uid}`") for uid in _by_uid(list(sop_classes.storage()))),
        ),
        "identifiers": _table(
            ("transfer syntax", "UID"), ((dictionary.uid_name(uid), f"`{uid}`") for uid in UNDERSTOOD)
        ),
        "syntaxes": _table(
            ("transfer syntax", "UID"), ((dictionary.uid_name(uid), f"`{uid}`") for uid in _transfer_syntaxes())
        ),
        "statuses": _table(
            ("what happened", *(service.value for service in Service)),
            ((kind.value, *(_status(TABLES[service][kind]) for service in Service)) for kind in Kind),
        ),
        "web-transactions": _table(
            ("transaction", "request", "section", "gives"),
            (
                (
                    operation.transaction,
                    f"`{method} {path}`",
                    operation.section or "ours",
                    ", ".join(f"`{media}`" for media in operation.gives),
                )
                for (method, path), operation in OPERATIONS.items()
            ),
        ),
        "web-returned": _table(
            ("level", "attributes"),
            ((level.value.lower(), ", ".join(keywords(level))) for level in (Level.STUDY, Level.SERIES, Level.IMAGE)),
        ),
        "web-statuses": _table(
            ("what happened", "status", "problem"),
            ((kind.value, str(int(PROBLEMS[kind].status)), PROBLEMS[kind].title) for kind in Kind),
        ),
        "implementation": _table(
            ("item", "value"),
            (
                ("Implementation Class UID", f"`{uids.IMPLEMENTATION_CLASS_UID}`"),
                ("Implementation Version Name", f"`{uids.IMPLEMENTATION_VERSION_NAME}`"),
                ("Maximum length received (default)", f"{config.Wire().max_pdu:,} bytes"),
                ("Associations at one time (default)", f"{config.Wire().associations:,}"),
                ("ARTIM timer (default)", f"{config.Wire().artim:g} s"),
            ),
        ),
    }


def _status(status: Status) -> str:
    return f"{status:04X} {status.name.replace('_', ' ').lower()}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def conformance() -> str:
    """Give docs/conformance.md."""
    return _filled("conformance.md", _tables())


def exposure() -> str:
    """Give docs/exposure.md."""
    checks = (
        (f"`{check.id}`", check.group.value, check.title, check.worst.value, check.meaning, ", ".join(check.rules))
        for check in CHECKS
    )
    points = ((severity.value, str(POINTS[severity]), str(CAPS[severity])) for severity in reversed(Severity))
    tables = {
        "checks": _table(("name", "about", "what is found", "at worst", "why it matters", "asked for by"), checks),
        "points": _table(("severity", "points off", "the score is at most"), points),
        "grades": _table(("grade", "from"), ((grade, str(least)) for least, grade in GRADES)),
    }
    return _filled("exposure.md", tables)


def _filled(page: str, tables: dict[str, str]) -> str:
    """Give a page: the prose that stands there, with the tables between its marks made anew."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, table in tables.items():
        mark = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text, found = mark.subn(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", text)
        if found != 1:
            raise SystemExit(f"docs/{page} needs the marks `begin {name}` and `end {name}` exactly once.")
    return text


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "cli.md": command_line,
    "conformance.md": conformance,
    "exposure.md": exposure,
    str(texts.CATALOGUE): texts.catalogue,
}
"""By path below docs/, or a whole path."""


def stale() -> list[str]:
    """Name the pages that are not what would be written now."""
    return [
        name
        for name, make in PAGES.items()
        if not (DOCS / name).exists() or (DOCS / name).read_text(encoding="utf-8") != make()
    ]


def main() -> None:
    """Write the pages, or with ``--check`` name the stale ones."""
    if "--check" in sys.argv[1:]:
        if names := stale():
            raise SystemExit(f"Stale: {', '.join(names)}. Run: make docs")
        return
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
