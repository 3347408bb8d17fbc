"""A small house: a log, an authority, devices, and a clock that a test may set."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leadglass.audit.log import AuditLog
from leadglass.audit.refusals import Refusals
from leadglass.crypto.ca import Authority
from leadglass.identity.associations import Associations
from leadglass.identity.device import Device
from leadglass.identity.devices import Devices
from tests.callers import everything

KEY = bytes(32)
SEED = bytes(range(32))


class Clock:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class House:
    """Everything an association is judged by."""

    folder: Path
    clock: Clock
    log: AuditLog
    refusals: Refusals
    authority: Authority
    devices: Devices
    associations: Associations

    def enrol(self, ae_title: str, *addresses: str, allow: str = "store") -> bytes:
        """Enrol a device with a certificate; the certificate (DER)."""
        self.devices.add(everything(), Device.parse(ae_title, addresses or ["10.1.2.0/24"], [allow]), replace=True)
        out = self.folder / f"{ae_title}-{len(self.log.records())}"
        enrolment = self.devices.enrol(everything(), ae_title, out)
        return ssl.PEM_cert_to_DER_cert(enrolment.certificate.read_text())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    clock = Clock()
    with AuditLog(tmp_path / "audit.db", KEY, SEED, clock=clock) as log:
        refusals = Refusals(log)
        authority = Authority.create(tmp_path / "ca.pem", tmp_path / "ca.key", now=clock.now)
        with Devices(tmp_path / "identity.db", KEY, log, authority, clock=clock) as devices:
            associations = Associations(devices, log, refusals, ae_title="LEADGLASS")
            yield House(tmp_path, clock, log, refusals, authority, devices, associations)
        refusals.close()
