"""The protocol machine: driven at random against the table, with hostile bytes, and through its conversations."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from leadglass.wire import pdu as pdus
from leadglass.wire.errors import ProtocolViolation
from leadglass.wire.fsm import TABLE, Action, Evt, State
from leadglass.wire.machine import (
    AbortIndication,
    AssociateConfirmation,
    AssociateIndication,
    DataIndication,
    Event,
    Machine,
    ProviderAbort,
    ReleaseConfirmation,
    ReleaseIndication,
    Side,
    WrongStateError,
)
from leadglass.wire.pdu import (
    PDV,
    Abort,
    AssociateAccept,
    AssociateRequest,
    PData,
    ProposedContext,
    Rejection,
    ReleaseRP,
    ReleaseRQ,
    encode,
)

REQUEST = AssociateRequest(
    called_ae_title="LEADGLASS",
    calling_ae_title="CT1",
    contexts=(ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),),
)
ACCEPT = AssociateAccept(called_ae_title="LEADGLASS", calling_ae_title="CT1", contexts={1: "1.2.840.10008.1.2"})
REJECT = Rejection(1, 1, 7)
DATA = PData((PDV(1, is_command=True, is_last=True, fragment=b"ab"),))
RECEIVED: dict[Evt, pdus.PDU] = {
    Evt.Evt3: ACCEPT,
    Evt.Evt4: REJECT,
    Evt.Evt6: REQUEST,
    Evt.Evt10: DATA,
    Evt.Evt12: ReleaseRQ(),
    Evt.Evt13: ReleaseRP(),
    Evt.Evt16: Abort(0, 0),
}


def machine(side: Side, *, max_pdu: int = 1000) -> Machine:
    return Machine(side, max_pdu=max_pdu, associate_pdu=5000, smallest_peer_pdu=256)


def established(side: Side, *, max_pdu: int = 1000) -> Machine:
    it = machine(side, max_pdu=max_pdu)
    if side is Side.ACCEPTOR:
        it.transport_connected()
        it.receive(encode(REQUEST))
        it.accept(ACCEPT)
    else:
        it.associate(REQUEST)
        it.transport_connected()
        it.receive(encode(ACCEPT))
    it.take()
    assert it.state is State.Sta6
    return it


def fire(it: Machine, event: Evt) -> list[Event]:
    """Make an event of the table happen."""
    if event in RECEIVED:
        return it.receive(encode(RECEIVED[event]))
    match event:
        case Evt.Evt1:
            return it.associate(REQUEST)
        case Evt.Evt2 | Evt.Evt5:
            return it.transport_connected()
        case Evt.Evt7:
            return it.accept(ACCEPT)
        case Evt.Evt8:
            return it.reject(REJECT)
        case Evt.Evt9:
            return it.send_data([encode(DATA)])
        case Evt.Evt11:
            return it.release()
        case Evt.Evt14:
            return it.respond_release()
        case Evt.Evt15:
            return it.abort()
        case Evt.Evt17:
            return it.transport_closed()
        case Evt.Evt18:
            return it.artim_expired()
        case _:
            return it.abort_for(ProtocolViolation("The peer sent nonsense."))


SENDS = {
    Action.AE_2: 1,
    Action.AE_7: 2,
    Action.AE_8: 3,
    Action.DT_1: 4,
    Action.AR_7: 4,
    Action.AR_1: 5,
    Action.AR_4: 6,
    Action.AR_9: 6,
    Action.AA_1: 7,
    Action.AA_7: 7,
    Action.AA_8: 7,
}
STARTS_ARTIM = {Action.AE_5, Action.AE_8, Action.AR_4, Action.AA_1, Action.AA_8}
STOPS_ARTIM = {Action.AE_6, Action.AR_5, Action.AA_2, Action.AA_5}
CLOSES = {Action.AE_4, Action.AR_3, Action.AA_2, Action.AA_3}
TELLS: dict[Action, type[Event]] = {
    Action.AE_3: AssociateConfirmation,
    Action.AE_4: AssociateConfirmation,
    Action.AE_6: AssociateIndication,
    Action.DT_2: DataIndication,
    Action.AR_6: DataIndication,
    Action.AR_2: ReleaseIndication,
    Action.AR_8: ReleaseIndication,
    Action.AR_3: ReleaseConfirmation,
    Action.AR_10: ReleaseConfirmation,
    Action.AA_3: AbortIndication,
    Action.AA_4: ProviderAbort,
    Action.AA_8: ProviderAbort,
}


class FollowsTheTable(RuleBasedStateMachine):
    """Whatever happens in whatever order, the machine does what the cell says."""

    @initialize(side=st.sampled_from(Side))
    def begin(self, side: Side) -> None:
        self.side = side
        self.it = machine(side)

    @rule(event=st.sampled_from(Evt))
    def happens(self, event: Evt) -> None:
        it = self.it
        if event in (Evt.Evt2, Evt.Evt5):
            event = Evt.Evt5 if self.side is Side.ACCEPTOR else Evt.Evt2
        if it.closing or (event is Evt.Evt18 and not it.artim):
            event = Evt.Evt17
        before, artim = it.state, it.artim
        cell = TABLE.get((event, before))
        if cell is None:
            self.finds_no_cell(event)
            return
        events = fire(it, event)
        action, following = cell
        assert it.state in following
        sent = it.take()
        assert (sent[0] if sent else None) == SENDS.get(action)
        if action in STARTS_ARTIM:
            assert it.artim not in (0, artim)
        elif action in STOPS_ARTIM:
            assert it.artim == 0
        assert it.closing is (action in CLOSES)
        if action is Action.AA_1 and event is not Evt.Evt15:
            assert [type(each) for each in events] == [ProviderAbort]
        else:
            told = TELLS.get(action)
            assert [type(each) for each in events] == ([told] if told is not None else [])
        if it.state is State.Sta1:
            self.it = machine(self.side)

    def finds_no_cell(self, event: Evt) -> None:
        """Nothing the peer or the network does raises; what we do wrong ourselves does."""
        it, before = self.it, self.it.state
        harmless = event in RECEIVED or event in (Evt.Evt15, Evt.Evt17, Evt.Evt18, Evt.Evt19)
        if harmless:
            assert fire(it, event) == []
        else:
            with pytest.raises(WrongStateError):
                fire(it, event)
        assert it.state is before
        assert it.take() == b""
        if event is Evt.Evt17:
            self.it = machine(self.side)

    @invariant()
    def idle_means_no_timer_or_closing(self) -> None:
        if hasattr(self, "it") and self.it.state is State.Sta6:
            assert not self.it.closing


TestFollowsTheTable = FollowsTheTable.TestCase
TestFollowsTheTable.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@given(st.lists(st.binary(max_size=60), max_size=10), st.sampled_from(["new acceptor", "established", "requestor"]))
def test_hostile_bytes_never_raise_and_always_end_in_an_abort_or_more_waiting(chunks: list[bytes], where: str) -> None:
    it = machine(Side.ACCEPTOR) if where == "new acceptor" else established(Side.ACCEPTOR)
    if where == "new acceptor":
        it.transport_connected()
    elif where == "requestor":
        it = established(Side.REQUESTOR)
    before = it.state
    for chunk in chunks:
        for event in it.receive(chunk):
            assert isinstance(event, Event)
    assert it.state in (before, State.Sta1, State.Sta3, State.Sta8, State.Sta13)
    if it.state is State.Sta13:
        assert it.artim


@given(st.data())
def test_the_same_bytes_mean_the_same_however_they_are_cut(data: st.DataObject) -> None:
    raw = b"".join(
        encode(PData((PDV(1, is_command=False, is_last=last, fragment=fragment),)))
        for fragment, last in data.draw(st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=8))
    ) + encode(ReleaseRQ())
    whole = established(Side.ACCEPTOR).receive(raw)
    it = established(Side.ACCEPTOR)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=10)))
    pieces: list[Event] = []
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        pieces += it.receive(raw[start:end])
    assert pieces == whole


def test_a_pdu_of_four_gibibytes_is_refused_on_its_header() -> None:
    it = established(Side.ACCEPTOR)
    (event,) = it.receive(struct.pack(">BxI", 4, 0xFFFFFFFF))
    assert isinstance(event, ProviderAbort)
    assert it.take() == encode(Abort(2, 6))
    assert it.receive(b"x" * 5000) == []
    assert not it.mid_pdu


@pytest.mark.parametrize("kind", [1, 2, 3, 5, 6, 7])
def test_every_other_pdu_has_its_limit_too(kind: int) -> None:
    it = machine(Side.ACCEPTOR)
    it.transport_connected()
    (event,) = it.receive(struct.pack(">BxI", kind, 5001))
    assert isinstance(event, ProviderAbort)
    assert it.state is State.Sta13


def test_data_before_an_association_is_not_kept() -> None:
    it = machine(Side.ACCEPTOR)
    it.transport_connected()
    (event,) = it.receive(struct.pack(">BxI", 4, 900) + b"x" * 100)
    assert isinstance(event, ProviderAbort)
    assert it.receive(b"x" * 800) == []
    assert not it.mid_pdu
    it.receive(encode(Abort(0, 0)))
    assert it.closing


def test_a_pdu_a_little_longer_than_advertised_is_tolerated_because_some_senders_count_differently() -> None:
    it = established(Side.ACCEPTOR, max_pdu=1000)
    fragment = bytes(1000)
    (event,) = it.receive(encode(PData((PDV(1, is_command=False, is_last=True, fragment=fragment),))))
    assert isinstance(event, DataIndication)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"\x16\x03\x01\x02\x00\x01", "TLS"),
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"\xff\xff\xff\xff\xff\xff", "not DICOM"),
    ],
)
def test_what_is_not_dicom_is_named(head: bytes, says: str) -> None:
    it = machine(Side.ACCEPTOR)
    it.transport_connected()
    (event,) = it.receive(head)
    assert isinstance(event, ProviderAbort)
    assert says in event.text


@pytest.mark.parametrize(
    ("request_", "rejection"),
    [
        (
            AssociateRequest(called_ae_title="A", calling_ae_title="B", contexts=REQUEST.contexts, protocol_version=2),
            Rejection(1, 2, 2),
        ),
        (
            AssociateRequest(
                called_ae_title="A", calling_ae_title="B", contexts=REQUEST.contexts, application_context="1.2"
            ),
            Rejection(1, 1, 2),
        ),
        (
            AssociateRequest(called_ae_title="A", calling_ae_title="B", contexts=REQUEST.contexts, max_length=255),
            Rejection(2, 3, 2),
        ),
    ],
    ids=["protocol version", "application context", "a PDU too small to be useful"],
)
def test_the_provider_itself_rejects(request_: AssociateRequest, rejection: Rejection) -> None:
    it = machine(Side.ACCEPTOR)
    it.transport_connected()
    (event,) = it.receive(encode(request_))
    assert isinstance(event, ProviderAbort)
    assert it.take() == encode(rejection)
    assert it.state is State.Sta13


def talk(one: Machine, other: Machine) -> list[Event]:
    """Carry bytes between two machines until both are silent."""
    events: list[Event] = []
    while True:
        to_other, to_one = one.take(), other.take()
        if not to_other and not to_one:
            return events
        events += other.receive(to_other) + one.receive(to_one)


def test_a_release_collision_ends_on_both_sides() -> None:
    requestor, acceptor = established(Side.REQUESTOR), established(Side.ACCEPTOR)
    requestor.release()
    acceptor.release()
    assert talk(requestor, acceptor) == [ReleaseIndication(), ReleaseIndication()]
    assert (requestor.state, acceptor.state) == (State.Sta9, State.Sta10)
    requestor.respond_release()
    assert talk(requestor, acceptor) == [ReleaseConfirmation()]
    assert (requestor.state, acceptor.state) == (State.Sta11, State.Sta12)
    acceptor.respond_release()
    assert talk(requestor, acceptor) == [ReleaseConfirmation()]
    assert (requestor.state, acceptor.state) == (State.Sta1, State.Sta13)
    assert requestor.closing


def test_several_pdus_leave_in_one_write() -> None:
    it = established(Side.REQUESTOR)
    it.send_data([b"command", memoryview(b"header"), b"data"])
    assert it.take() == b"commandheaderdata"
    assert it.take() == b""
