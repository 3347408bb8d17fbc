"""One association's end of the DICOM upper layer, without I/O: bytes in, events and bytes out.

Rules (after h11):

1. Whoever drives the machine calls it from one thread, hands it what came from
   the transport (``room`` and ``received``, or ``receive``; ``transport_closed``),
   and after *every* call sends
   what ``take`` gives, looks at ``artim`` and closes the transport when
   ``closing`` is set.
2. What a peer does never raises: it becomes an event. What *we* do wrong (a
   primitive the state does not allow) raises ``WrongStateError``.
3. Every transition is a cell of ``fsm.TABLE``; nothing else changes the state.
4. A PDU's type and length are judged on its 6-byte header. Nothing is buffered
   for a PDU that is too long, unknown, or that the state would ignore anyway.
5. After an unknown type or an impossible length the bytes have lost their frame:
   the machine aborts (Evt19) and no longer listens.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from leadglass.wire import pdu as pdus
from leadglass.wire.errors import AbortReason, AbortSource, ProtocolViolation
from leadglass.wire.fsm import TABLE, Action, Evt, State
from leadglass.wire.pdu import PDV, Abort, AssociateAccept, AssociateRequest, PData, PDUType, Rejection


class Side(Enum):
    """Which end of the association this is."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


class WrongStateError(RuntimeError):
    """A local primitive in a state that has no cell for it: our own mistake."""


# --- events ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AssociateIndication:
    """The peer asks for an association; answer with ``accept`` or ``reject``."""

    request: AssociateRequest


@dataclass(frozen=True, slots=True)
class AssociateConfirmation:
    """The peer accepted or rejected."""

    answer: AssociateAccept | Rejection


@dataclass(frozen=True, slots=True)
class DataIndication:
    """The fragments of one P-DATA-TF."""

    pdvs: tuple[PDV, ...]


@dataclass(frozen=True, slots=True)
class ReleaseIndication:
    """The peer asks for release; answer with ``respond_release`` when all is sent."""


@dataclass(frozen=True, slots=True)
class ReleaseConfirmation:
    """The peer agreed to our release."""


@dataclass(frozen=True, slots=True)
class AbortIndication:
    """The peer aborted (A-ABORT or A-P-ABORT of its provider)."""

    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ProviderAbort:
    """The association is gone without the peer's A-ABORT: a violation of the peer's, or the connection was lost."""

    text: str
    violation: ProtocolViolation | None = None


Event = (
    AssociateIndication
    | AssociateConfirmation
    | DataIndication
    | ReleaseIndication
    | ReleaseConfirmation
    | AbortIndication
    | ProviderAbort
)

_EVENT_OF: Final = {
    PDUType.ASSOCIATE_RQ: Evt.Evt6,
    PDUType.ASSOCIATE_AC: Evt.Evt3,
    PDUType.ASSOCIATE_RJ: Evt.Evt4,
    PDUType.P_DATA_TF: Evt.Evt10,
    PDUType.RELEASE_RQ: Evt.Evt12,
    PDUType.RELEASE_RP: Evt.Evt13,
    PDUType.ABORT: Evt.Evt16,
}
_TYPES: Final = {int(kind): kind for kind in PDUType}
_ROOM: Final = 32_768
"""bytes read at once before large PDUs come"""
_MOST: Final = 524_288
"""bytes read at once, when PDUs are large: each read costs a turn of the event loop"""
_PDATA_TOLERANCE: Final = 12
"""bytes; some senders count only the fragment against the maximum length, not its two headers."""


class Machine:
    """The protocol machine of PS3.8 9.2.

    Parameters
    ----------
    side : Side
        Requestor or acceptor; decides release collisions (AR-8).
    max_pdu : int
        bytes; the P-DATA-TF length we advertise and enforce.
    associate_pdu : int
        bytes; the longest A-ASSOCIATE PDU we read.
    smallest_peer_pdu : int
        bytes; a requestor that takes less is rejected.

    Attributes
    ----------
    state : State
        Where the machine is; Sta1 at first and at the end.
    artim : int
        0 when the ARTIM timer is stopped; another number each time it is (re)started.
    closing : bool
        The transport is to be closed (after what ``take`` gives was sent).
    """

    __slots__ = (
        "_artim_starts",
        "_associate_pdu",
        "_buffer",
        "_deaf",
        "_end",
        "_events",
        "_max_pdu",
        "_out",
        "_pdata_wanted",
        "_request",
        "_side",
        "_skip",
        "_smallest_peer_pdu",
        "_start",
        "_wanted",
        "artim",
        "closing",
        "state",
    )

    def __init__(self, side: Side, *, max_pdu: int, associate_pdu: int, smallest_peer_pdu: int = 0) -> None:
        self._side = side
        self._max_pdu = max_pdu
        self._associate_pdu = associate_pdu
        self._smallest_peer_pdu = smallest_peer_pdu
        self._buffer = memoryview(bytearray())
        """Made when the first bytes come, and let go of with the connection: what ended may wait long for the
        garbage collector. Bytes from ``_start`` to ``_end`` are received and not yet used."""
        self._start = 0
        self._end = 0
        self._wanted = 6
        """Bytes from ``_start`` on that the PDU there has, as far as is known."""
        self._skip = 0
        self._deaf = False
        self._out: list[bytes | memoryview] = []
        self._events: list[Event] = []
        self._request: AssociateRequest | None = None
        self._artim_starts = 0
        self.state = State.Sta1
        self.artim = 0
        self.closing = False

    # --- what the driver asks --------------------------------------------

    def take(self) -> bytes:
        """Give the bytes to send, joined into one write, and forget them."""
        out = self._out
        if not out:
            return b""
        self._out = []
        return bytes(out[0]) if len(out) == 1 else b"".join(out)

    @property
    def mid_pdu(self) -> bool:
        """Whether part of a PDU has arrived and the rest has not."""
        return self._end > self._start or self._skip > 0

    # --- the transport ----------------------------------------------------

    def transport_connected(self) -> list[Event]:
        """Tell that the transport connection is there (Evt5 for an acceptor, Evt2 for a requestor)."""
        return self._local(Evt.Evt5 if self._side is Side.ACCEPTOR else Evt.Evt2)

    def transport_closed(self, text: str = "the connection was lost") -> list[Event]:
        """Tell that the transport connection is gone (Evt17)."""
        self._deaf = True
        self._start = self._end = 0
        self._wanted = 6
        self._buffer = memoryview(bytearray())
        if self.state is State.Sta1:
            return []
        self._fire(Evt.Evt17, lost=text)
        return self._taken()

    def artim_expired(self) -> list[Event]:
        """Tell that the ARTIM timer ran out (Evt18)."""
        if self.artim and (Evt.Evt18, self.state) in TABLE:
            self._fire(Evt.Evt18)
        return self._taken()

    def room(self) -> memoryview:
        """Give where the next bytes from the transport go: at least one, and all that the PDU there lacks."""
        size = len(self._buffer)
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + self._wanted > size or (self._end == size and not self._deaf):
            held = self._buffer[self._start : self._end]
            if self._wanted > size:
                self._buffer = memoryview(bytearray(max(_ROOM, self._wanted, min(4 * self._wanted, _MOST))))
            self._buffer[: len(held)] = held
            self._start, self._end = 0, len(held)
        return self._buffer[self._end :]

    def received(self, count: int) -> list[Event]:
        """Take the first ``count`` bytes of ``room``, give what they mean; never raises for what they are."""
        if self._deaf:
            return []
        self._end += count
        if self._skip:
            skipped = min(self._skip, count)
            self._skip -= skipped
            self._start += skipped
        self._start += self._pdus(self._buffer[self._start : self._end])
        if self._deaf:
            self._start = self._end = 0
        return self._taken()

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes that are in memory already; as ``received``."""
        events: list[Event] = []
        with memoryview(data) as left:
            while left and not self._deaf:
                room = self.room()
                count = min(len(room), len(left))
                room[:count] = left[:count]
                events += self.received(count)
                left = left[count:]
        return events

    # --- the local user's primitives --------------------------------------

    def associate(self, request: AssociateRequest) -> list[Event]:
        """Ask for an association (Evt1): the driver then connects and calls ``transport_connected``."""
        self._request = request
        return self._local(Evt.Evt1)

    def accept(self, answer: AssociateAccept) -> list[Event]:
        """Accept the indicated association (Evt7)."""
        return self._local(Evt.Evt7, answer)

    def reject(self, rejection: Rejection) -> list[Event]:
        """Reject the indicated association (Evt8)."""
        return self._local(Evt.Evt8, rejection)

    def send_data(self, buffers: list[bytes | memoryview]) -> list[Event]:
        """Send P-DATA-TF PDUs that are already encoded (Evt9)."""
        self._check(Evt.Evt9)
        self._fire(Evt.Evt9)
        self._out.extend(buffers)
        return self._taken()

    def release(self) -> list[Event]:
        """Ask for release (Evt11)."""
        return self._local(Evt.Evt11)

    def respond_release(self) -> list[Event]:
        """Agree to the peer's release (Evt14)."""
        return self._local(Evt.Evt14)

    def abort(self) -> list[Event]:
        """Abort as the service user (Evt15); nothing happens where there is nothing to abort."""
        if (Evt.Evt15, self.state) in TABLE:
            self._fire(Evt.Evt15)
        return self._taken()

    def abort_for(self, violation: ProtocolViolation) -> list[Event]:
        """Abort because of what the peer's PDUs carried: an invalid PDU for the table (Evt19)."""
        if (Evt.Evt19, self.state) in TABLE:
            self._fire(Evt.Evt19, violation)
        return self._taken()

    def may(self, event: Evt) -> bool:
        """Tell whether the table has a cell for ``event`` in this state."""
        return (event, self.state) in TABLE

    # --- framing -----------------------------------------------------------

    def _pdus(self, view: memoryview) -> int:
        """Handle every whole PDU in ``view``; give how many bytes were used."""
        offset, end = 0, len(view)
        self._wanted = 6
        while end - offset >= 6 and not self._deaf:
            number, length = pdus.HEADER.unpack_from(view, offset)
            kind = _TYPES.get(number)
            if kind is None:
                self._lose_frame(_stranger(bytes(view[offset : offset + 6])))
                break
            if kind is PDUType.P_DATA_TF:
                wanted = TABLE.get((Evt.Evt10, self.state))
                if wanted is not None and wanted[0] not in (Action.DT_2, Action.AR_6):
                    # Ignored or forbidden here whatever it holds: let it pass by without keeping it (rule 4).
                    skipped = min(length, end - offset - 6)
                    self._skip = length - skipped
                    offset += 6 + skipped
                    self._fire(
                        Evt.Evt10, ProtocolViolation("A P-DATA-TF came out of place.", AbortReason.UNEXPECTED_PDU)
                    )
                    continue
            if length > self._longest(kind):
                self._lose_frame(ProtocolViolation(f"A PDU of type {number:02X}H is longer than allowed."))
                break
            if end - offset - 6 < length:
                self._wanted = 6 + length
                break
            body = view[offset + 6 : offset + 6 + length]
            offset += 6 + length
            self._pdu(kind, body)
        return offset

    def _longest(self, kind: PDUType) -> int:
        match kind:
            case PDUType.P_DATA_TF:
                return self._max_pdu + _PDATA_TOLERANCE
            case PDUType.ASSOCIATE_RQ | PDUType.ASSOCIATE_AC:
                return self._associate_pdu
            case _:
                return 4

    def _lose_frame(self, violation: ProtocolViolation) -> None:
        self._deaf = True
        if (Evt.Evt19, self.state) in TABLE:
            self._fire(Evt.Evt19, violation)

    def _pdu(self, kind: PDUType, body: memoryview) -> None:
        event = _EVENT_OF[kind]
        if (event, self.state) not in TABLE:
            return  # Sta1: the association is over, what still arrives means nothing.
        try:
            decoded = pdus.decode(kind, body)
        except ProtocolViolation as violation:
            self._fire(Evt.Evt19, violation)
            return
        self._fire(event, decoded)

    # --- the table ---------------------------------------------------------

    def _check(self, event: Evt) -> None:
        if (event, self.state) not in TABLE:
            raise WrongStateError(f"{event.value} in {self.state.name}.")

    def _local(self, event: Evt, argument: AssociateAccept | Rejection | None = None) -> list[Event]:
        self._check(event)
        self._fire(event, argument)
        return self._taken()

    def _taken(self) -> list[Event]:
        events = self._events
        self._events = []
        return events

    def _fire(self, event: Evt, argument: pdus.PDU | ProtocolViolation | None = None, *, lost: str = "") -> None:
        action, following = TABLE[event, self.state]
        if action is Action.DT_2 or action is Action.AR_6:
            assert isinstance(argument, PData)  # noqa: S101 - Evt10 carries nothing else
            self._events.append(DataIndication(argument.pdvs))
            return
        self.state = following[self._do(event, action, argument, lost)]

    def _do(  # noqa: C901 - one case per action of the Standard
        self, event: Evt, action: Action, argument: pdus.PDU | ProtocolViolation | None, lost: str
    ) -> int:
        """Do one action of PS3.8 Tables 9-6 to 9-9; give which of the next states it leads to."""
        match action:
            case Action.AE_1 | Action.AA_6 | Action.DT_1 | Action.AR_7 | Action.DT_2 | Action.AR_6:
                pass
            case Action.AE_2:
                if self._request is not None:
                    self._send(self._request)
            case Action.AE_3 | Action.AE_4:
                if isinstance(argument, AssociateAccept | Rejection):
                    self._events.append(AssociateConfirmation(argument))
                self.closing = action is Action.AE_4
            case Action.AE_5:
                self._start_artim()
            case Action.AE_6:
                return self._indicate(argument)
            case Action.AE_7:
                if isinstance(argument, AssociateAccept):
                    self._send(argument)
            case Action.AE_8:
                if isinstance(argument, Rejection):
                    self._send(argument)
                self._start_artim()
            case Action.AR_1:
                self._send(pdus.ReleaseRQ())
            case Action.AR_2:
                self._events.append(ReleaseIndication())
            case Action.AR_3:
                self._events.append(ReleaseConfirmation())
                self.closing = True
            case Action.AR_4:
                self._send(pdus.ReleaseRP())
                self._start_artim()
            case Action.AR_5 | Action.AA_5:
                self.artim = 0
            case Action.AR_8:
                self._events.append(ReleaseIndication())
                return 0 if self._side is Side.REQUESTOR else 1
            case Action.AR_9:
                self._send(pdus.ReleaseRP())
            case Action.AR_10:
                self._events.append(ReleaseConfirmation())
            case Action.AA_1:
                self._send(Abort(AbortSource.SERVICE_USER, AbortReason.NOT_SPECIFIED))
                self._start_artim()
                if event is not Evt.Evt15:
                    self._events.append(_provider_abort(argument, event))
            case Action.AA_2:
                self.artim = 0
                self.closing = True
            case Action.AA_3:
                if isinstance(argument, Abort):
                    self._events.append(AbortIndication(argument.source, argument.reason))
                self.closing = True
            case Action.AA_4:
                self._events.append(ProviderAbort(lost))
            case Action.AA_7:
                self._send(Abort(AbortSource.SERVICE_PROVIDER, _reason(argument)))
            case Action.AA_8:
                self._send(Abort(AbortSource.SERVICE_PROVIDER, _reason(argument)))
                self._events.append(_provider_abort(argument, event))
                self._start_artim()
        return 0

    def _indicate(self, argument: pdus.PDU | ProtocolViolation | None) -> int:
        """AE-6: what the provider itself cannot accept never reaches the user."""
        assert isinstance(argument, AssociateRequest)  # noqa: S101 - Evt6 carries nothing else
        self.artim = 0
        rejection: Rejection | None = None
        if not argument.protocol_version & 1:
            rejection = pdus.PROTOCOL_VERSION_NOT_SUPPORTED
        elif argument.application_context != pdus.APPLICATION_CONTEXT:
            rejection = pdus.APPLICATION_CONTEXT_NOT_SUPPORTED
        elif 0 < argument.max_length < self._smallest_peer_pdu:
            rejection = pdus.LOCAL_LIMIT_EXCEEDED
        if rejection is None:
            self._events.append(AssociateIndication(argument))
            return 0
        self._send(rejection)
        self._start_artim()
        self._events.append(ProviderAbort(f"rejected by the upper layer: {rejection.text}"))
        return 1

    def _send(self, pdu: pdus.PDU) -> None:
        self._out.append(pdus.encode(pdu))

    def _start_artim(self) -> None:
        self._artim_starts += 1
        self.artim = self._artim_starts


def _reason(argument: pdus.PDU | ProtocolViolation | None) -> AbortReason:
    return argument.reason if isinstance(argument, ProtocolViolation) else AbortReason.UNEXPECTED_PDU


def _provider_abort(argument: pdus.PDU | ProtocolViolation | None, event: Evt) -> ProviderAbort:
    if isinstance(argument, ProtocolViolation):
        return ProviderAbort(argument.message, argument)
    violation = ProtocolViolation(f"{event.value} was not expected.", AbortReason.UNEXPECTED_PDU)
    return ProviderAbort(violation.message, violation)


def _stranger(head: bytes) -> ProtocolViolation:
    """Say what it was that is no PDU, as far as six bytes tell."""
    if head[:2] == b"\x16\x03":
        text = "The peer speaks TLS to a port for plain DICOM."
    elif head[:4] in (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"PRI "):
        text = "The peer speaks HTTP, not DICOM."
    else:
        text = "What the peer sent is not DICOM."
    return ProtocolViolation(text, AbortReason.UNRECOGNIZED_PDU)
