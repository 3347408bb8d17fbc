"""What every test may ask for: the corpus, free ports, and real peers.

Rule: a test that cannot run here says why it is skipped; it never passes by doing nothing.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.corpus import CORPUS, CorpusFile, read_manifest

pytest_plugins = ["tests.strangers"]

# How long an example takes says nothing of whether it is right, and a busy machine is no fault of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Give the folder of real DICOM files beside the repository, or skip."""
    if not (CORPUS / "MANIFEST.csv").is_file():
        pytest.skip("The DICOM corpus is not beside this checkout (../shared/corpus, or LEADGLASS_CORPUS).")
    return CORPUS


@pytest.fixture(scope="session")
def manifest(corpus: Path) -> tuple[CorpusFile, ...]:
    """Give every row of the corpus's manifest."""
    return read_manifest(corpus)
