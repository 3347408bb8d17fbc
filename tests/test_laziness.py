"""What a command waits for: only the parts that it needs are loaded. Modules are counted, not seconds."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

_TOLD = """
import sys
from leadglass.__main__ import main
try:
    main()
finally:
    sys.stderr.write("\\nloaded: " + " ".join(sorted(sys.modules)))
"""

SERVER_ALONE = ("asyncio", "leadglass.wire.server", "leadglass.doors.dimse", "leadglass.serving", "structlog")
HEAVY = ("numpy", "pydicom", "pynetdicom", "imagecodecs", "sqlalchemy", "hypothesis")
PARTS = ("cryptography", "sqlcipher3", "leadglass.app", "leadglass.vault", "importlib.metadata", "rich.progress")


def loaded(*arguments: str, code: int = 0) -> set[str]:
    """Run a command in a process of its own; gives the modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _TOLD, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stderr
    return set(done.stderr.rpartition("loaded: ")[2].split())


def among(modules: set[str], unwanted: tuple[str, ...]) -> set[str]:
    return {each for each in modules if any(each == one or each.startswith(one + ".") for one in unwanted)}


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help"), ("device", "add", "--help")], ids=" ".join)
def test_a_help_text_waits_for_no_part_of_the_archive(arguments: tuple[str, ...]) -> None:
    unwanted = (*PARTS, *SERVER_ALONE, *HEAVY) if arguments == ("--help",) else (*SERVER_ALONE, *HEAVY)
    assert among(loaded(*arguments), unwanted) == set()


@pytest.mark.parametrize("arguments", [("device", "list"), ("audit", "show"), ("quarantine", "list")], ids=" ".join)
def test_a_plain_command_waits_for_nothing_that_only_the_server_needs(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    loaded("init", "--data", str(tmp_path / "data"))
    modules = loaded(*arguments, "--data", str(tmp_path / "data"))
    assert "leadglass.vault.vault" in modules  # it really opened the archive
    assert among(modules, (*SERVER_ALONE, *HEAVY)) == set()


@pytest.mark.parametrize("name", [each for each in (*SERVER_ALONE, *PARTS) if each.startswith("leadglass")])
def test_what_is_looked_for_is_there(name: str) -> None:
    assert find_spec(name) is not None
