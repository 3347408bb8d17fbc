"""Advice: every command that an error, a finding or a page tells somebody to type exists, with its options."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import leadglass as package
from leadglass.doors.cli.main import leadglass

ROOT = Path(package.__file__).parent
COMMAND = re.compile(r"\bleadglass ([a-z][a-z-]*(?: [^\s`'\"(),;|]+)*)")
"""A command in a sentence: it may run on into the sentence, so words behind it are passed over."""

TOP = click.Context(leadglass)
PROSE = {"wrapped"}  # of the magic of a file
"""What follows the name where it is no command."""


def _texts(path: Path) -> Iterator[str]:
    """Give what a module or page says, with X for what is filled in."""
    text = path.read_text()
    if path.suffix != ".py":
        yield from text.splitlines()
        return
    tree = ast.parse(text)
    within: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            within.update(id(part) for part in node.values)
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within:
            yield node.value


def _advised() -> Iterator[tuple[str, str]]:
    for path in sorted([*ROOT.rglob("*.py"), *ROOT.rglob("*.html"), *ROOT.rglob("*.js")]):
        for text in _texts(path):
            for found in COMMAND.finditer(text):
                if found[1].split()[0] not in PROSE:
                    yield str(path.relative_to(ROOT)), found[1]


ADVISED = sorted(set(_advised()))


@pytest.mark.parametrize(("where", "advice"), ADVISED, ids=[f"{where}: {advice}" for where, advice in ADVISED])
def test_what_somebody_is_told_to_type_is_a_command_with_these_options(where: str, advice: str) -> None:
    assert where
    words = advice.rstrip(".:").split()
    command: click.Command = leadglass
    while isinstance(command, click.Group) and words and re.fullmatch("[a-z][a-z-]*", words[0].rstrip(".,:")):
        found = command.get_command(TOP, words[0].rstrip(".,:"))
        assert found is not None, f"there is no such command: {words[0]}"
        command = found
        words.pop(0)
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word.startswith("--"):
            assert re.match("--[a-z-]+", word)[0] in {*options, "--help"}, f"it has no {word}"  # type: ignore[index]


def test_there_is_such_advice_in_many_places() -> None:
    assert len({where for where, _ in ADVISED}) > 20
