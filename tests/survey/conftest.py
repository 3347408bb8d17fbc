"""The surroundings of a survey, brought up once for all tests here."""

from collections.abc import Generator

import pytest

from tests.peers.dcmtk import Dcmtk
from tests.survey.surroundings import Surroundings, surroundings


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory, dcmtk: Dcmtk) -> Generator[Surroundings]:
    """Give strangers of every kind, listening on the loopback, with canaries in what they keep."""
    with surroundings(tmp_path_factory.mktemp("around"), dcmtk) as made:
        yield made
