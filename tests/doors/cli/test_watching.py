"""The bar of a long command: how far, how fast, how long yet, and what there is to say beside it."""

from io import StringIO

from rich.console import Console

from leadglass.doors.cli.watching import watched


def test_who_watches_sees_how_far_it_is_and_what_was_found() -> None:
    drawn = StringIO()
    found: list[str] = []
    console = Console(file=drawn, force_terminal=True, width=120)
    with watched(console, "Looking", octets=False, beside=lambda: " · ".join(found)) as told:
        told(0, 65_536, 0)
        found += ["2 critical", "1 low"]
        told(1_024, 65_536, 0)
    assert "1024/65536" in drawn.getvalue()
    assert "left" in drawn.getvalue()
    assert "2 critical · 1 low" in drawn.getvalue()
