"""Terminal: how the command line speaks.

Rule 1. Results go to stdout, everything said about them to stderr. Rule 2. What
came from outside (file names, AE titles) is written so that a terminal obeys
nothing in it. Rule 3. What a machine reads is one JSON document on stdout.
"""

import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leadglass.audit.record import escape

Json = Mapping[str, object] | Sequence[Mapping[str, object]]

_FREE_TEXT: Final = 24
"""Columns that free text needs to be read; with less, it is shown below its row."""

_WIDE: Final = 1_000
"""Columns assumed where the output is not a terminal: nothing is folded or cut for a file."""


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


class Terminal:
    """Both outputs of one command.

    Parameters
    ----------
    out, err : TextIO, optional
        Standard output and error.
    """

    __slots__ = ("_err", "_out")

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = _console(sys.stdout if out is None else out)
        self._err = _console(sys.stderr if err is None else err)

    def say(self, text: str | Text = "", style: str | None = None) -> None:
        """Print a line of the result."""
        self._out.print(text if isinstance(text, Text) else Text(safe(text), style or ""))

    def tell(self, text: str, style: str | None = None) -> None:
        """Print a message."""
        self._err.print(Text(safe(text), style or ""))

    def show(self, table: Table) -> None:
        """Print a table of the result."""
        if self._out.is_terminal:
            if _fits(table, self._out.width):
                self._out.print(table, soft_wrap=False)
            else:
                self._show_stacked(table)
            return
        with self._out.capture() as captured:
            self._out.print(table, soft_wrap=False)
        for line in captured.get().splitlines():
            self._out.file.write(line.rstrip() + "\n")

    def _show_stacked(self, table: Table) -> None:
        """Print a table that is too wide without breaking a value.

        Free text goes below its row; when that is not enough, each value gets a line.
        """
        headings = [Text(str(column.header), "bold") for column in table.columns]
        rows = [list(map(_one_line, row)) for row in zip(*(column.cells for column in table.columns), strict=True)]
        fixed = [number for number, column in enumerate(table.columns) if column.no_wrap]
        widths = {n: max(cell_len(row[n].plain) for row in (headings, *rows)) for n in fixed}
        if sum(widths.values()) + 2 * len(fixed) > self._out.width:
            indent = max(len(heading.plain) for heading in headings) + 2
            for number, row in enumerate(rows):
                if number:
                    self._out.print()
                for heading, value in zip(headings, row, strict=True):
                    if value.plain:
                        self._out.print(_padded(heading, indent).append_text(value))
            return
        for row in (headings, *rows):
            self._out.print(Text("").join(_padded(row[n], widths[n] + 2) for n in fixed))
            if row is headings:
                continue
            for n, value in enumerate(row):
                if n not in widths and value.plain:
                    self._out.print(Text("    ").append_text(value))

    def json(self, document: Json, *, indent: int | None = 2) -> None:
        """Print one JSON document, in ASCII so that no terminal obeys what is in it."""
        stream = self._out.file
        stream.write(json.dumps(document, indent=indent) + "\n")
        stream.flush()

    def flush(self) -> None:
        """Bring everything to who reads it."""
        self._out.file.flush()

    @property
    def is_shown(self) -> bool:
        """Whether somebody looks at the result."""
        return self._out.is_terminal

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks at the messages."""
        return self._err.is_terminal

    @contextmanager
    def progress(
        self, what: str, *, octets: bool = True, beside: "Callable[[], str] | None" = None
    ) -> "Generator[Callable[[int, int, int], None]]":
        """Show a bar with rate and time left on a terminal, and nothing elsewhere.

        Parameters
        ----------
        what : str
            What goes on.
        octets : bool
            Whether bytes a second are shown too.
        beside : callable, optional
            Gives what is shown after it; asked whenever the bar is drawn.

        Yields
        ------
        callable
            To be told (done, in all, bytes of this one), from any thread.
        """
        if not self.is_watched:
            yield _unwatched
            return
        from leadglass.doors.cli.watching import watched  # it takes a while to load, and few commands show a bar

        with watched(self._err, what, octets=octets, beside=beside) as told:
            yield told


def _unwatched(_done: int, _total: int, _size: int) -> None:
    """Show nothing: nobody looks."""


def safe(text: str) -> str:
    """Write out what a terminal would obey, line by line."""
    return "\n".join(escape(line) if not line.isprintable() else line for line in text.split("\n"))


def size_of(octets: int) -> str:
    """Say a number of bytes for people."""
    value = float(octets)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "B" or value >= 100 else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def counted(number: int, one: str, many: str = "") -> str:
    """Say a number of things: ``1 study``, ``2 studies``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def table(*headings: str, right: Sequence[str] = (), fold: Sequence[str] = ()) -> Table:
    """Make a plain table.

    Parameters
    ----------
    *headings : str
        Of its columns.
    right : sequence of str
        Those whose values stand at the right.
    fold : sequence of str
        Those of free text, which may be folded; addresses, UIDs and times are never broken.
    """
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        made.add_column(
            heading, justify="right" if heading in right else "left", overflow="fold", no_wrap=heading not in fold
        )
    return made


def _one_line(value: object) -> Text:
    """Give a cell in one line."""
    return Text(value.plain.replace("\n", ", "), value.style) if isinstance(value, Text) else Text(str(value))


def _padded(text: Text, width: int) -> Text:
    """Give a text with spaces after it."""
    return Text("").append_text(text).append(" " * max(0, width - cell_len(text.plain)))


def _fits(table: Table, columns: int) -> bool:
    """Say whether a table fits, with some room for free text."""
    needed = 0
    for column in table.columns:
        cells = [str(each) for each in (column.header, *column.cells)]
        widest = max(cell_len(line) for text in cells for line in text.split("\n"))
        word = max((cell_len(word) for text in cells for word in text.split()), default=0)
        needed += (widest if column.no_wrap else max(word, min(widest, _FREE_TEXT))) + 2
    return needed - 2 <= columns


def cell(text: str, style: str = "") -> Text:
    """Make a cell of what may have come from outside."""
    return Text(safe(text), style)
