"""pynetdicom as client and as acceptor, down to the bytes.

Rule: data sets travel as the bytes they are; pynetdicom's own decoding is used
for identifiers only, so that "identical" means identical.
"""

import ssl
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context, build_role
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import register_uid, uid_to_service_class

from tests.peers.running import Credentials
from tests.peers.tunnel import client_context

VERIFICATION = "1.2.840.10008.1.1"
PATIENT_FIND, PATIENT_MOVE, PATIENT_GET = (f"1.2.840.10008.5.1.4.1.2.1.{n}" for n in (1, 2, 3))
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
NOT_ANSWERED = -1
"""In place of a status: the peer did not answer."""

NOT_ACCEPTED = -2
"""In place of a status: no context was accepted for the class in that transfer syntax."""

UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


@dataclass(frozen=True, slots=True)
class Instance:
    """A data set as bytes, and what names it.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        What it is and how it is encoded.
    data : bytes
        The encoded data set.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data: bytes


@dataclass(slots=True)
class Collected:
    """What an acceptor, or a C-GET, received: data sets by SOP Instance UID."""

    instances: dict[str, Instance] = field(default_factory=dict[str, Instance])

    def take(self, event: evt.Event) -> int:
        """Handle ``evt.EVT_C_STORE``: keep the bytes."""
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        self.instances[uid] = Instance(
            str(request.AffectedSOPClassUID), uid, str(event.context.transfer_syntax), request.DataSet.getvalue()
        )
        return 0x0000


@dataclass(frozen=True, slots=True)
class Way:
    """How a client reaches the archive.

    Parameters
    ----------
    port : int
        On 127.0.0.1.
    ae_title : str
        The calling AE title it claims.
    credentials : Credentials, optional
        The certificate it shows; without, it speaks plaintext.
    source : str
        The address it speaks from; empty for the system's choice.
    """

    port: int
    ae_title: str
    credentials: Credentials | None = None
    source: str = ""


@contextmanager
def association(
    way: Way,
    contexts: Iterable[tuple[str, tuple[str, ...]]],
    *,
    get: Collected | None = None,
    called: str = "LEADGLASS",
) -> Generator[Association]:
    """Ask for an association; the block sees it whether it was accepted or not.

    ``contexts`` are pairs of abstract syntax and transfer syntaxes. With ``get``
    the storage classes among them are proposed in the SCP role, and what comes
    is kept there.
    """
    ae: Any = AE(ae_title=way.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    ae.maximum_pdu_size = 0x10000
    proposed: list[PresentationContext] = []
    roles: dict[str, SCP_SCU_RoleSelectionNegotiation] = {}
    for abstract, syntaxes in contexts:
        proposed.append(build_context(UID(abstract), [UID(one) for one in syntaxes]))
        if get is not None and not abstract.startswith("1.2.840.10008.5.1.4.1.2."):
            roles[abstract] = build_role(UID(abstract), scp_role=True)
    tls: tuple[ssl.SSLContext, str] | None = None
    if way.credentials is not None:
        tls = (client_context(way.credentials), "127.0.0.1")
    handlers: list[Any] = [] if get is None else [(evt.EVT_C_STORE, get.take)]
    assoc = ae.associate(
        "127.0.0.1",
        way.port,
        contexts=proposed,
        ae_title=called,
        ext_neg=list(roles.values()),
        bind_address=(way.source, 0) if way.source else ("", 0),
        tls_args=tls,
        evt_handlers=handlers,
    )
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()
        ae.shutdown()


def _teach(sop_class_uid: str) -> None:
    """Tell pynetdicom that a class it does not know (retired, new or private) is stored like any other."""
    if uid_to_service_class(sop_class_uid) is not StorageServiceClass:
        register_uid(sop_class_uid, f"Storage{sop_class_uid.replace('.', '_')}", StorageServiceClass)


@contextmanager
def acceptor(
    ae_title: str, contexts: Iterable[tuple[str, tuple[str, ...]]], *, port: int, tls: ssl.SSLContext | None = None
) -> Generator[Collected]:
    """Run a storage acceptor that keeps the bytes it gets."""
    ae: Any = AE(ae_title=ae_title)
    ae.maximum_pdu_size = 0x10000
    for abstract, syntaxes in contexts:
        _teach(abstract)
        ae.add_supported_context(UID(abstract), [UID(one) for one in syntaxes])
    ae.add_supported_context(UID(VERIFICATION))
    collected = Collected()
    handlers: list[Any] = [(evt.EVT_C_STORE, collected.take)]
    server = ae.start_server(("127.0.0.1", port), block=False, ssl_context=tls, evt_handlers=handlers)
    assert server is not None
    try:
        yield collected
    finally:
        server.shutdown()


def send(assoc: Association, instance: Instance) -> int:
    """C-STORE the bytes of a data set as they are; gives the status, NOT_ACCEPTED or NOT_ANSWERED."""
    for context in assoc.accepted_contexts:
        if context.abstract_syntax == instance.sop_class_uid and context.transfer_syntax[0] == (
            instance.transfer_syntax_uid
        ):
            break
    else:
        return NOT_ACCEPTED
    request: Any = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = instance.sop_class_uid
    request.AffectedSOPInstanceUID = instance.sop_instance_uid
    request.DataSet = BytesIO(instance.data)
    return _exchange(assoc, request, context.context_id)


def _exchange(assoc: Association, request: Any, context_id: int | None) -> int:
    raw: Any = assoc
    raw._reactor_checkpoint.clear()
    try:
        raw.dimse.send_msg(request, context_id)
        _, response = raw.dimse.get_msg(block=True)
    finally:
        raw._reactor_checkpoint.set()
    return NOT_ANSWERED if response is None or response.Status is None else int(response.Status)


def identifier(**keys: str | list[str]) -> Dataset:
    """Make an identifier from keywords."""
    dataset = Dataset()
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def find(assoc: Association, keys: Dataset, model: str = STUDY_FIND) -> tuple[int, list[Dataset]]:
    """C-FIND; gives the final status and the matches."""
    matches: list[Dataset] = []
    status = -1
    for answer, match in assoc.send_c_find(keys, UID(model)):
        status = int(answer.Status) if "Status" in answer else -1
        if match is not None:
            matches.append(match)
    return status, matches


def last_status(answers: Iterable[tuple[Dataset, Dataset | None]]) -> Dataset:
    """Give the final answer of a C-GET or C-MOVE."""
    last = Dataset()
    for answer, _ in answers:
        last = answer
    return last
