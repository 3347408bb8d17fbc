"""The documentation does not lie: links lead somewhere, generated pages are fresh, commands exist."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from leadglass.doors.cli.main import leadglass
from leadglass.policy.roles import NEEDS_NO_IMAGES, Role
from tests.corpus import ROOT
from tests.peers.running import run

PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")


def _without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken: list[str] = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (
            anchor
            and _slug(anchor) not in {_slug(heading) for heading in re.findall(r"(?m)^#+ (.+)$", there.read_text())}
        ):
            broken.append(target)
    assert broken == []


def test_generated_pages_are_fresh() -> None:
    done = run([sys.executable, ROOT / "docs" / "generate.py", "--check"])
    assert done.code == 0, done.said


def _blocks(page: Path) -> Iterator[str]:
    """Give each line of the page's code blocks, continued lines joined."""
    for block in re.findall(r"(?ms)^```[a-z]*\n(.*?)^```", page.read_text()):
        yield from block.replace("\\\n", " ").splitlines()


def _commands(word: str) -> list[tuple[str, list[str]]]:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "operations.md"]
    return [
        (str(page.relative_to(ROOT)), shlex.split(line, comments=True))
        for page in pages
        for line in _blocks(page)
        if line.startswith(f"{word} ")
    ]


def _resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """Follow the command's words down the groups; gives the command and what is left."""
    command: click.Command = leadglass
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        below = command.get_command(click.Context(command), rest[0])
        assert below is not None, f"there is no {rest[0]!r} in {' '.join(words)}"
        command, rest = below, rest[1:]
    return command, rest


def test_every_leadglass_command_in_the_documentation_exists() -> None:
    shown = _commands("leadglass")
    assert len(shown) > 10
    for page, words in shown:
        command, rest = _resolve(words)
        assert not isinstance(command, click.Group), f"{page}: {' '.join(words)} names no command"
        try:
            command.make_context(command.name, list(rest), resilient_parsing=False)
        except click.UsageError as error:
            pytest.fail(f"{page}: {' '.join(words)}: {error.format_message()}")


def test_operations_say_what_every_file_of_the_data_folder_is() -> None:
    table = (ROOT / "docs" / "operations.md").read_text().partition("## The data folder")[2].partition("\n## ")[0]
    source = "".join(path.read_text() for path in (ROOT / "src" / "leadglass").rglob("*.py"))
    names = set(re.findall(r'"([a-z]+\.db|leadglass\.(?:lock|format|toml)|audit\.checkpoint)"', source))
    names.discard("thumbs.db")  # what other systems leave on media
    names.discard("survey.db")  # lies beside a scope file; docs/survey.md says so
    assert "`survey.db`" in (ROOT / "docs" / "survey.md").read_text()
    assert len(names) > 8
    assert {name for name in names if f"`{name}`" not in table} == set()


def test_operations_say_what_every_role_may_do_and_which_see_no_images() -> None:
    people = (ROOT / "docs" / "operations.md").read_text().partition("\n## People")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"(?m)^\| `([a-z]+)` \| .* \| (.*) \|$", people))
    assert set(rows) == set(Role)
    assert {role for role, sees in rows.items() if sees == "no images"} == NEEDS_NO_IMAGES


def test_every_make_target_in_the_documentation_exists() -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    for page in PAGES:
        for name in re.findall(r"`make ([a-z]+)`", page.read_text()):
            assert name in targets, f"{page.name}: make {name}"
    for page_name, words in _commands("make"):
        assert words[1] in targets, f"{page_name}: {' '.join(words)}"


def test_every_decision_is_listed_and_has_its_parts() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text()
    records = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for path in records:
        assert f"({path.name})" in index, path.name
        text = path.read_text()
        for part in ("# " + path.name[:4], "Status: ", "## Context and problem", "## Decision", "## Consequences"):
            assert part in text, f"{path.name}: {part}"


def test_the_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changelog or "## [0.1.0]" in changelog


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_no_document_names_a_person_by_mail() -> None:
    listed = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True, check=False)
    for name in filter(None, listed.stdout.decode().split("\0")):
        assert not re.search(r"[\w.]+@[\w-]+\.[a-z]{2,}", (ROOT / name).read_text()), name
