"""The house's own rules hold, and the tools that guard them do catch a breach planted on purpose."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus import ROOT
from tests.peers.running import Ran, run

SRC = ROOT / "src" / "leadglass"
BIN = Path(sys.executable).parent


def _sources(*folders: str, suffix: str = ".py") -> Iterator[Path]:
    for folder in folders or ("src", "tests", "benchmarks", "docs"):
        yield from (path for path in sorted((ROOT / folder).rglob(f"*{suffix}")) if "node_modules" not in path.parts)


def _tracked() -> list[Path]:
    """Give the files that git would publish."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("This is not a git checkout.")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the source tree and the tools' configuration, to plant breaches in."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def _lint_imports(copy: Path) -> Ran:
    return run([BIN / "lint-imports", "--no-cache"], cwd=copy, env={"PYTHONPATH": str(copy / "src")})


def test_the_layering_holds_as_it_is(copy: Path) -> None:
    done = _lint_imports(copy)
    assert done.code == 0, done.said
    assert str(copy) not in done.said


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("doors/dimse", "leadglass.vault"),
        ("doors/cli", "leadglass.vault"),
        ("archive", "leadglass.vault"),
        ("jobs", "leadglass.vault"),
        ("policy", "leadglass.archive"),
        ("wire", "leadglass.dicom"),
        ("dicom", "leadglass.policy"),
        ("audit", "leadglass.identity"),
    ],
)
def test_an_import_that_points_up_is_caught(copy: Path, importer: str, imported: str) -> None:
    module = copy / "src" / "leadglass" / importer / "planted.py"
    module.write_text(f'"""Planted."""\n\nimport {imported}\n')
    done = _lint_imports(copy)
    assert done.code != 0, done.said
    assert "planted" in done.said


def test_the_linter_reads_our_configuration(copy: Path) -> None:
    planted = copy / "src" / "leadglass" / "policy" / "planted.py"
    planted.write_text(
        'def f(a):\n    """Say."""\n    print(eval(a))\n    try:\n        pass\n    except Exception:\n        pass\n'
    )
    done = run([BIN / "ruff", "check", "--no-cache", "--output-format", "concise", "src"], cwd=copy)
    assert done.code != 0
    for code in ("D100", "S307", "T201", "BLE001"):
        assert code in done.out, done.said


def test_the_formatter_reads_our_configuration(copy: Path) -> None:
    (copy / "src" / "leadglass" / "policy" / "planted.py").write_text('"""Planted."""\nx = {  "a":1 }\n')
    done = run([BIN / "ruff", "format", "--no-cache", "--check", "src"], cwd=copy)
    assert done.code != 0
    assert "planted" in done.out


@pytest.mark.timeout(300)
def test_the_type_checker_is_strict(copy: Path) -> None:
    planted = copy / "src" / "leadglass" / "errors_planted.py"
    planted.write_text('"""Planted."""\n\n\ndef f(x) -> int:\n    """Say."""\n    return "no"\n')
    done = run([BIN / "pyright", "--pythonpath", sys.executable, "--outputjson", planted], cwd=copy, timeout=240)
    assert done.code != 0, done.said
    for rule in ("reportReturnType", "reportMissingParameterType"):
        assert rule in done.out, done.said


def test_no_permit_without_its_seal_for_the_type_checker_too(copy: Path) -> None:
    planted = copy / "src" / "leadglass" / "planted.py"
    planted.write_text(
        '"""Planted."""\n\nfrom leadglass.policy.action import Action\nfrom leadglass.policy.caller import Caller\n'
        "from leadglass.policy.permit import Permit\n\n\n"
        'def f(caller: Caller) -> Permit:\n    """Say."""\n    return Permit(object(), caller, Action.FIND, ())\n'
    )
    done = run([BIN / "pyright", "--pythonpath", sys.executable, "--outputjson", planted], cwd=copy, timeout=240)
    assert "reportArgumentType" in done.out, done.said


def test_no_module_is_too_long_to_read_in_a_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): n for path in _sources("src") if (n := len(path.read_text().splitlines())) > 600
    }
    assert long == {}


def test_every_module_opens_with_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in _sources("src", "benchmarks")
        if (text := path.read_text().strip()) and not text.startswith('"""')
    ]
    assert silent == []


def test_hexadecimal_tags_stand_in_one_file() -> None:
    """A tag elsewhere is a keyword that somebody did not look up: (gggg,eeee), 0xGGGGEEEE or eight digits as a key."""
    literal = re.compile(r"0x(00(08|10|18|20|28|40|88)[0-9A-Fa-f]{4}|7FE0[0-9A-Fa-f]{4})\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _sources("src")
        if path.name != "tags.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if literal.search(line)
    ]
    assert found == []


def test_nothing_names_this_machine_or_a_registrys_host() -> None:
    """Written in halves, so that this file does not find itself."""
    needles = ["/wo" + "rk/", "/ro" + "ot/", "pyp" + "i.org", "python" + "hosted", "npm" + "js.org", "/ho" + "me/"]
    found = [
        f"{path.relative_to(ROOT)}: {needle}"
        for path in _tracked()
        for needle in needles
        if needle.encode() in path.read_bytes()
    ]
    assert found == []


def test_the_lock_pins_every_dependency_by_hash_and_names_no_url() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = (ROOT / "requirements" / "runtime.txt").read_text()
    dev = (ROOT / "requirements" / "dev.txt").read_text()
    for wanted, lock in ((project["project"]["dependencies"], runtime), (project["dependency-groups"]["dev"], dev)):
        for requirement in wanted:
            name = re.split(r"[\[<>=!~ ;]", requirement)[0].lower()
            assert re.search(rf"(?mi)^{re.escape(name)}==", lock), f"{name} is not locked; run make lock"
    for lock in (runtime, dev):
        assert "://" not in lock
        pins = re.findall(r"(?m)^[A-Za-z0-9_.-]+==", lock)
        entries = re.split(r"(?m)^(?=[A-Za-z0-9_.-]+==)", lock)[1:]
        assert len(pins) == len(entries)
        assert all("--hash=sha256:" in entry for entry in entries)


def test_the_runtime_lock_is_a_part_of_the_development_lock() -> None:
    pin = re.compile(r"(?m)^([A-Za-z0-9_.-]+==\S+)")
    runtime = set(pin.findall((ROOT / "requirements" / "runtime.txt").read_text()))
    dev = set(pin.findall((ROOT / "requirements" / "dev.txt").read_text()))
    assert runtime - dev == set()


def test_the_node_lock_names_no_host() -> None:
    lock = (ROOT / "tests" / "flows" / "node" / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert '"integrity"' in lock


def test_nothing_is_licensed_in_a_way_that_ours_forbids() -> None:
    """ADR 0008: no GPL codecs."""
    runtime = (ROOT / "requirements" / "runtime.txt").read_text().lower()
    for name in ("pylibjpeg-libjpeg", "python-gdcm", "gdcm"):
        assert not re.search(rf"(?m)^{name}==", runtime)


def test_make_help_lists_the_targets() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed.")
    said = run(["make", "help"], cwd=ROOT)
    for target in ("demo", "test", "check", "bench", "lock", "clean"):
        assert f"make {target} " in said.out


def test_make_says_what_to_do_where_python_is_too_old(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed.")
    done = run(["make", "-C", ROOT, "demo", f"VENV={tmp_path / 'venv'}", "PYTHON="])
    assert done.code != 0
    assert "Python 3.11 or newer" in done.said
