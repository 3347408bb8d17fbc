"""One running archive for all tests of people: each test has people of its own."""

from collections.abc import Generator

import pytest

from tests.peers.web import Web, serving


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    """Give a running archive."""
    with serving(tmp_path_factory.mktemp("people")) as running:
        yield running
