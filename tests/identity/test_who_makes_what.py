"""The two constructors that the whole design hangs on are called where they may be, and nowhere else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import leadglass

SRC = Path(leadglass.__file__).parent


def callers_of(name: str, source: str) -> Iterator[int]:
    """Give the lines of ``source`` that call, subclass or copy ``name``, also under another name or as an attribute."""
    tree = ast.parse(source)
    names = {name}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname for alias in node.names if alias.name == name and alias.asname}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=called)) if called in names:
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr=called)) if called == name:
                yield node.lineno
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner))) if owner in names:
                yield node.lineno  # Caller.__new__(…), and any other way through the class
            case ast.Assign(value=ast.Name(id=copied)) if copied in names:
                yield node.lineno
            case ast.ClassDef(bases=bases) if any(isinstance(base, ast.Name) and base.id in names for base in bases):
                yield node.lineno
            case _:
                pass


def test_only_identity_makes_a_caller() -> None:
    makers = {
        path.relative_to(SRC).parts[0]
        for path in SRC.rglob("*.py")
        if list(callers_of("Caller", path.read_text(encoding="utf-8")))
    }
    assert makers == {"identity"}


def test_only_the_permit_module_makes_a_permit() -> None:
    makers = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        if list(callers_of("Permit", path.read_text(encoding="utf-8")))
    }
    assert makers == {"policy/permit.py"}


def test_nobody_takes_the_seal() -> None:
    takers = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        if re.search(r"\b(_SEAL|_Seal)\b", path.read_text(encoding="utf-8"))
    }
    assert takers == {"policy/permit.py"}


@pytest.mark.parametrize(
    "source",
    [
        "Caller(1)",
        "caller.Caller(1)",
        "from leadglass.policy.caller import Caller as C\nC(1)",
        "Caller.__new__(Caller)",
        "make = Caller",
        "class Mine(Caller): pass",
    ],
)
def test_the_search_itself_finds_every_way(source: str) -> None:
    assert list(callers_of("Caller", source))


def test_the_search_does_not_mind_a_mention() -> None:
    assert not list(callers_of("Caller", "def f(caller: Caller) -> Caller | None: return caller"))
