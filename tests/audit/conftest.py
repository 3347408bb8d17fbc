"""An audit log in a temporary folder, and hands that tamper with it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadglass.audit.log import AuditLog
from leadglass.crypto.database import open_sealed

KEY = bytes(32)
SEED = bytes(range(32))


class Tampering:
    """What somebody who has the database key, and not the signing key, could do to the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def run(self, *statements: str) -> None:
        connection = open_sealed(self._path, KEY)
        try:
            for statement in statements:
                connection.execute(statement)
        finally:
            connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., AuditLog]]:
    """Open the log, as often as a test likes; a signed head for every ten records unless told otherwise."""
    logs: list[AuditLog] = []

    def opening(checkpoint_every: int = 10, seed: bytes = SEED) -> AuditLog:
        logs.append(AuditLog(path, KEY, seed, checkpoint_every=checkpoint_every))
        return logs[-1]

    yield opening
    for log in logs:
        log.close()


@pytest.fixture
def log(opened: Callable[..., AuditLog]) -> AuditLog:
    return opened()


@pytest.fixture
def tampering(path: Path) -> Tampering:
    return Tampering(path)
