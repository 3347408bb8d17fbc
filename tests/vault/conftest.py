from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.vault.vault import Vault
from tests.vault.sets import opened


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """Give an empty vault on real files."""
    with opened(tmp_path) as made:
        yield made
