"""The bar that is shown to who watches a long command.

Rule: it is shown on a terminal and nowhere else; who writes to a file gets no bar.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from leadglass.doors.cli.terminal import size_of


@contextmanager
def watched(
    console: Console, what: str, *, octets: bool, beside: Callable[[], str] | None = None
) -> "Generator[Callable[[int, int, int], None]]":
    """Show a bar with rate and time left, and what ``beside`` gives whenever it is drawn.

    Yields
    ------
    callable
        To be told (done, in all, bytes of this one), from any thread.
    """
    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate()]
    columns += [_Speed()] if octets else []
    columns += [TimeRemainingColumn(compact=True), TextColumn("left")]
    columns += [_Beside(beside)] if beside is not None else []
    with Progress(*columns, console=console, transient=True, refresh_per_second=8) as progress:
        task = progress.add_task(what, total=None, octets=0)
        sizes = [0]

        def told(done: int, total: int, size: int) -> None:
            sizes[0] += size
            progress.update(task, completed=done, total=total, octets=sizes[0])

        yield told


class _Rate(ProgressColumn):
    """Instances a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


class _Beside(ProgressColumn):
    """What somebody else has to say."""

    def __init__(self, said: Callable[[], str]) -> None:
        super().__init__()
        self._said = said

    def render(self, task: Task) -> Text:  # noqa: ARG002 - it says what it says
        return Text(self._said())


class _Speed(TransferSpeedColumn):
    """Bytes a second since the beginning."""

    def render(self, task: Task) -> Text:
        if not task.elapsed:
            return Text("")
        return Text(size_of(int(task.fields["octets"] / task.elapsed)) + "/s")
