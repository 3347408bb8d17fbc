"""pynetdicom as the device of Storage Commitment: it asks, and takes reports over its own or a new association."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, cast

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dsutils import encode as pynetdicom_encode
from pynetdicom.presentation import build_context

from tests.peers.running import wait_until
from tests.peers.scu import UNCOMPRESSED, Way
from tests.peers.tls import server_context
from tests.peers.tunnel import client_context

PUSH = UID("1.2.840.10008.1.20.1")
INSTANCE = UID("1.2.840.10008.1.20.1.1")
VERIFICATION = UID("1.2.840.10008.1.1")

Pair = tuple[str, str]
"""SOP class and instance."""


@dataclass(frozen=True, slots=True)
class Report:
    """An N-EVENT-REPORT as it came."""

    event_type: int
    transaction: str
    committed: list[Pair]
    failed: dict[str, int]
    """Failure Reason by SOP instance."""
    retrieve_ae_title: str


@dataclass(slots=True)
class Reports:
    """What a device was told."""

    statuses: list[int] = field(default_factory=list[int])
    """Answers of the device, first to last; then 0000."""
    received: list[Report] = field(default_factory=list[Report])
    aborts: int = 0
    """How many reports the device answers with an abort."""
    lock: Lock = field(default_factory=Lock)
    answered: int = 0

    def sent(self, event: evt.Event) -> None:
        """Handle ``evt.EVT_DIMSE_SENT``: count the answers that are on their way."""
        self.answered += type(event.message).__name__ == "N_EVENT_REPORT_RSP"

    def take(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Handle ``evt.EVT_N_EVENT_REPORT``."""
        with self.lock:
            if self.aborts:
                self.aborts -= 1
                event.assoc.abort()
                return 0x0110, None
            told: Any = event.event_information
            self.received.append(
                Report(
                    cast("int", cast("Any", event.request).EventTypeID),
                    str(told.TransactionUID),
                    [_pair(item) for item in told.get("ReferencedSOPSequence", [])],
                    {_pair(item)[1]: int(item.FailureReason) for item in told.get("FailedSOPSequence", [])},
                    str(told.get("RetrieveAETitle", "")),
                )
            )
            return (self.statuses.pop(0) if self.statuses else 0), None

    def wait(self, count: int = 1, *, seconds: float = 30.0) -> Report:
        """Wait for so many reports; gives the last of them."""
        wait_until(lambda: len(self.received) >= count, f"{count} reports", seconds=seconds)
        return self.received[count - 1]


def _pair(item: Any) -> Pair:
    return str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)


def request(references: Iterable[Pair], transaction: str = "") -> Dataset:
    """Make the Action Information of a request."""
    asked: Any = Dataset()
    asked.TransactionUID = transaction or generate_uid()
    items: list[Dataset] = []
    for sop_class, instance in references:
        item: Any = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        items.append(item)
    asked.ReferencedSOPSequence = Sequence(items)
    return asked


def encode(asked: Dataset) -> bytes:
    """Write a request in Explicit VR Little Endian."""
    written = pynetdicom_encode(asked, is_implicit_vr=False, is_little_endian=True)
    assert written is not None
    return written


@contextmanager
def line(way: Way, reports: Reports | None = None) -> Generator[Association]:
    """Open an association with a context for Storage Commitment."""
    ae: Any = AE(ae_title=way.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    assoc = ae.associate(
        "127.0.0.1",
        way.port,
        contexts=[build_context(PUSH, list(UNCOMPRESSED)), build_context(VERIFICATION, list(UNCOMPRESSED))],
        ae_title="LEADGLASS",
        tls_args=None if way.credentials is None else (client_context(way.credentials), "127.0.0.1"),
        evt_handlers=[]
        if reports is None
        else [(evt.EVT_N_EVENT_REPORT, reports.take), (evt.EVT_DIMSE_SENT, reports.sent)],
    )
    try:
        assert assoc.is_established
        yield assoc
    finally:
        if reports is not None:  # who releases while the answer to a report is being sent is answered by nobody
            answered = reports
            wait_until(
                lambda: answered.answered >= len(answered.received) or not assoc.is_established,
                "the reports are answered",
            )
        if assoc.is_established:
            assoc.release()
        ae.shutdown()


def ask(
    assoc: Association,
    asked: Dataset | None,
    *,
    action: int = 1,
    sop_class: str = PUSH,
    instance: str = INSTANCE,
) -> int:
    """Send an N-ACTION-RQ; gives the status of its answer."""
    asking: Any = assoc
    _rest(asking)
    status, _ = asking.send_n_action(asked, action, UID(sop_class), UID(instance), meta_uid=PUSH)
    return int(status.Status)


def echo(assoc: Association) -> int:
    """Send a C-ECHO-RQ; gives the status of its answer."""
    _rest(assoc)
    return int(assoc.send_c_echo().Status)


def _rest(assoc: Any) -> None:
    """Wait until the reactor runs again: after a request it looks paused for a moment, and would steal an answer."""
    wait_until(lambda: not assoc._is_paused, "pynetdicom's reactor runs", seconds=10)


def ask_once(way: Way, asked: Dataset) -> int:
    """Ask over an association that is released at once."""
    with line(way) as assoc:
        return ask(assoc, asked)


@contextmanager
def reporting(
    ae_title: str,
    port: int,
    *,
    way: Way | None = None,
    reports: Reports | None = None,
    roles: bool | None = True,
) -> Generator[Reports]:
    """Run a device that takes reports over associations of the archive's own.

    Parameters
    ----------
    way : Way, optional
        Its certificate; without it plaintext is spoken.
    roles : bool, optional
        Whether it lets the archive be the SCP; None: it does not say.
    """
    reports = reports or Reports()
    ae: Any = AE(ae_title=ae_title)
    if roles is None:
        ae.add_supported_context(PUSH, list(UNCOMPRESSED))
    else:
        ae.add_supported_context(PUSH, list(UNCOMPRESSED), scu_role=not roles, scp_role=roles)
    tls = None if way is None or way.credentials is None else server_context(way.credentials)
    server = ae.start_server(
        ("127.0.0.1", port), block=False, ssl_context=tls, evt_handlers=[(evt.EVT_N_EVENT_REPORT, reports.take)]
    )
    assert server is not None
    try:
        yield reports
    finally:
        server.shutdown()
