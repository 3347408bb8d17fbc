"""What was recorded, damaged: bytes that are nearly right, for everything that reads bytes before anybody is trusted.

Rule: a reader gives what it read or says what was wrong; it raises nothing else, and holds no more than its limits.
In CI a fixed set of examples and a few hundred drawn ones; ``LEADGLASS_LONG=1`` draws for minutes.
"""

import os
from contextlib import suppress
from random import Random
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.dicom.ingest import Limits, describe
from leadglass.dicom.source import Bytes
from leadglass.errors import BadInput, Unsupported
from leadglass.wire import command_set, pdu
from leadglass.wire.assembly import Assembler, CommandPart
from leadglass.wire.errors import ProtocolViolation
from leadglass.wire.fsm import State
from leadglass.wire.machine import (
    AbortIndication,
    AssociateIndication,
    DataIndication,
    Event,
    Machine,
    ProviderAbort,
    ReleaseIndication,
    Side,
)
from leadglass.wire.pdu import AssociateAccept, Refusal
from tests.hostile.attacks import mutate
from tests.hostile.captures import captures
from tests.hostile.images import image
from tests.vault.sets import EXPLICIT, IMPLICIT, data_set, encoded

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
DRAWN: Final = settings(
    max_examples=60_000 if LONG else 250, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
FIXED: Final = 400
"""Examples of the fixed set: the same ones every time."""

MAX_PDU: Final = 16_384
RECORDED: Final = tuple(captures().values())


class Conversation:
    """An acceptor as the archive is one, down to whole messages, without a socket: it goes on until the peer is out."""

    def __init__(self) -> None:
        self.machine = Machine(Side.ACCEPTOR, max_pdu=MAX_PDU, associate_pdu=65_536, smallest_peer_pdu=256)
        self.machine.transport_connected()
        self.assembler = Assembler((), 65_536)
        self.commands = 0

    def take(self, data: bytes) -> None:
        """Take bytes, and do what the archive does with what they mean."""
        for event in self.machine.receive(data):
            with suppress(ProtocolViolation):
                self._on(event)
        assert len(self.machine.take()) < 1 << 20
        assert len(self.machine.room()) <= 1 << 20

    def _on(self, event: Event) -> None:
        match event:
            case AssociateIndication(request):
                contexts: dict[int, str | Refusal] = {c.id: c.transfer_syntaxes[0] for c in request.contexts}
                self.assembler = Assembler(contexts.keys(), 65_536)
                if self.machine.state is State.Sta3:
                    self.machine.accept(
                        AssociateAccept(
                            called_ae_title=request.called_ae_title,
                            calling_ae_title=request.calling_ae_title,
                            contexts=contexts,
                        )
                    )
            case DataIndication(pdvs):
                for pdv in pdvs:
                    try:
                        part = self.assembler.feed(pdv)
                    except ProtocolViolation as violation:
                        self.machine.abort_for(violation)
                        return
                    if isinstance(part, CommandPart):
                        self.commands += 1
            case ReleaseIndication():
                if self.machine.state is State.Sta8:
                    self.machine.respond_release()
            case AbortIndication() | ProviderAbort():
                assert self.machine.state in (State.Sta1, State.Sta13)
            case _:
                raise AssertionError(f"an acceptor is told {event}")


def converse(data: bytes, cuts: list[int]) -> Conversation:
    """Have a conversation with what came, in pieces; a client waits for the answer to its first PDU."""
    it = Conversation()
    first = 6 + int.from_bytes(data[2:6], "big")
    ends = sorted([min(first, len(data)), *(cut % (len(data) + 1) for cut in cuts)])
    for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
        it.take(data[start:end])
    it.machine.transport_closed()
    assert it.machine.state is State.Sta1
    return it


@pytest.mark.parametrize("name", captures())
def test_what_was_recorded_is_understood(name: str) -> None:
    assert converse(captures()[name], []).commands or name == "abort"


def test_a_fixed_set_of_damaged_conversations_ends_like_any_other() -> None:
    chance = Random(20_261_122)
    for _ in range(FIXED):
        converse(mutate(RECORDED, chance), [chance.randrange(1 << 16) for _ in range(3)])


@DRAWN
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 1 << 16), max_size=6))
def test_a_damaged_conversation_ends_like_any_other(chance: Random, cuts: list[int]) -> None:
    converse(mutate(RECORDED, chance), cuts)


@DRAWN
@given(st.sampled_from(RECORDED), st.data())
def test_damage_at_a_place_of_its_choice_is_survived_too(recorded: bytes, data: st.DataObject) -> None:
    damaged = bytearray(recorded)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    converse(bytes(damaged), [])


def _bodies() -> list[tuple[int, bytes]]:
    """Cut what was recorded into its PDUs."""
    found: list[tuple[int, bytes]] = []
    for recorded in RECORDED:
        at = 0
        while at + 6 <= len(recorded):
            length = int.from_bytes(recorded[at + 2 : at + 6], "big")
            found.append((recorded[at], recorded[at + 6 : at + 6 + length]))
            at += 6 + length
    return found


BODIES: Final = _bodies()
COMMANDS: Final = [
    pdv.fragment for kind, body in BODIES if kind == 4 for pdv in pdu.decode_pdvs(memoryview(body)) if pdv.is_command
]


@DRAWN
@given(st.sampled_from(BODIES), st.randoms(use_true_random=False))
def test_a_damaged_pdu_is_a_pdu_or_a_violation(recorded: tuple[int, bytes], chance: Random) -> None:
    kind, body = recorded
    with suppress(ProtocolViolation):
        pdu.decode(kind, memoryview(mutate([body], chance)))


@DRAWN
@given(st.sampled_from(COMMANDS), st.randoms(use_true_random=False))
def test_a_damaged_command_set_is_a_command_or_a_violation(recorded: bytes, chance: Random) -> None:
    with suppress(ProtocolViolation):
        command_set.decode(mutate([recorded], chance))


def _data_sets() -> list[tuple[bytes, str]]:
    nested = data_set(ReferencedStudySequence=[data_set(PixelData=None)], ProcedureCodeSequence=[data_set()])
    return [
        (encoded(data_set(), EXPLICIT), EXPLICIT),
        (encoded(data_set(), IMPLICIT), IMPLICIT),
        (encoded(nested, EXPLICIT), EXPLICIT),
        (encoded(nested, IMPLICIT), IMPLICIT),
        (image(Random(1), "2.25.1", 1, sizes=(2_000,)).data, EXPLICIT),
    ]


DATA_SETS: Final = _data_sets()
SMALL: Final = Limits(header_bytes=1 << 20, elements=2_000, kept_bytes=1 << 18)


@DRAWN
@given(st.sampled_from(DATA_SETS), st.randoms(use_true_random=False))
def test_a_damaged_data_set_is_described_or_refused(recorded: tuple[bytes, str], chance: Random) -> None:
    data, syntax = recorded
    with suppress(BadInput, Unsupported):
        describe(Bytes(mutate([data], chance)), syntax, SMALL)
