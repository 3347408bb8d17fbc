"""Fixtures that bring real peers of other makers to a test.

Rule: a peer that is not installed skips the test with the command that installs it; none is imitated.
"""

import pytest

from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Dcmjs


@pytest.fixture(scope="session")
def dcmtk() -> Dcmtk:
    """Give DCMTK's programs: ``dcmtk("echoscu", …)``, ``dcmtk.storescp(folder)``."""
    return Dcmtk()


@pytest.fixture(scope="session")
def dcmjs() -> Dcmjs:
    """Give dcmjs-dimse: ``dcmjs("echo", port, calling=…)``."""
    return Dcmjs()
