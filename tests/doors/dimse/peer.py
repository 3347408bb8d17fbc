"""pynetdicom with what the door's tests need beyond ``tests.peers.scu``: extended negotiation, roles, originators."""

import ssl
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.presentation import build_context, build_role

from tests.peers.scu import Collected, Way
from tests.peers.tunnel import client_context

Contexts = Iterable[tuple[str, tuple[str, ...]]]


@contextmanager
def associate(
    way: Way,
    contexts: Contexts,
    *,
    on_store: Callable[[evt.Event], int] | None = None,
    extended: Sequence[tuple[str, bytes]] = (),
    called: str = "LEADGLASS",
    sends_too: bool = False,
) -> Generator[Association]:
    """Ask for an association.

    With ``on_store`` every storage class among the contexts is proposed in the
    SCP role, with ``sends_too`` in both.
    """
    ae: Any = AE(ae_title=way.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    negotiation: list[Any] = []
    for uid, information in extended:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid = UID(uid)
        item.service_class_application_information = information
        negotiation.append(item)
    proposed = [build_context(UID(abstract), [UID(one) for one in syntaxes]) for abstract, syntaxes in contexts]
    storage = {str(one.abstract_syntax) for one in proposed if "1.4.1.1." in str(one.abstract_syntax)}
    if on_store is not None:
        negotiation += [build_role(UID(abstract), scu_role=sends_too, scp_role=True) for abstract in sorted(storage)]
    assoc = ae.associate(
        "127.0.0.1",
        way.port,
        contexts=proposed,
        ae_title=called,
        ext_neg=negotiation,
        tls_args=None if way.credentials is None else (client_context(way.credentials), "127.0.0.1"),
        evt_handlers=[] if on_store is None else [(evt.EVT_C_STORE, on_store)],
    )
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()
        ae.shutdown()
        raw: Any = assoc.dul.socket
        if raw is not None and raw.socket is not None:
            raw.socket.close()  # pynetdicom leaves it open when it was rejected


@dataclass(slots=True)
class Received(Collected):
    """What a receiver got, and who it was told had asked for it."""

    originators: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    limit: int = 0
    """After so many instances the receiver aborts; 0 is never."""
    unbearable: frozenset[str] = frozenset()
    """The SOP classes on which the receiver aborts."""
    before: Callable[[int], None] = lambda _: None
    """Told how many instances arrived, before the next one is taken."""
    aborts: int = 0
    """How often the receiver aborted."""

    def take(self, event: evt.Event) -> int:
        """Handle ``evt.EVT_C_STORE``."""
        request: Any = event.request
        self.originators.add((str(request.MoveOriginatorApplicationEntityTitle), request.MoveOriginatorMessageID))
        self.before(len(self.instances))
        full = self.limit and len(self.instances) >= self.limit
        if full or request.AffectedSOPClassUID in self.unbearable:
            self.aborts += 1
            event.assoc.abort()
            return 0xA700
        return Collected.take(self, event)


@contextmanager
def receiver(
    ae_title: str,
    contexts: Contexts,
    *,
    port: int,
    tls: ssl.SSLContext | None = None,
    limit: int = 0,
    unbearable: frozenset[str] = frozenset(),
    before: Callable[[int], None] = lambda _: None,
) -> Generator[Received]:
    """Run a storage acceptor."""
    ae: Any = AE(ae_title=ae_title)
    for abstract, syntaxes in contexts:
        ae.add_supported_context(UID(abstract), [UID(one) for one in syntaxes])
    received = Received(limit=limit, unbearable=unbearable, before=before)
    server = ae.start_server(
        ("127.0.0.1", port), block=False, ssl_context=tls, evt_handlers=[(evt.EVT_C_STORE, received.take)]
    )
    assert server is not None
    try:
        yield received
    finally:
        server.shutdown()
