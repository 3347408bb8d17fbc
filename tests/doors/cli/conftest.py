"""Fixtures of the command line's tests."""

import shutil
from pathlib import Path

import pytest

from leadglass.app import App
from tests.doors.cli.clihouse import Cli, cli_on


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an initialised data folder, to be copied."""
    data = tmp_path_factory.mktemp("initialised") / "data"
    App().initialise(data)
    return data


@pytest.fixture
def cli(initialised: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Give the command line on an archive of its own."""
    data = tmp_path / "data"
    shutil.copytree(initialised, data)
    return cli_on(data, capsys)
