"""Hostile peers on both doors of a served archive: legitimate clients are served meanwhile, and nothing is left behind.

``benchmarks/attack.py`` measures what a legitimate client feels of the same attacks; here it is only served.
"""

import os
from typing import Final

import pytest

from tests.hostile.attacks import ATTACKS
from tests.hostile.stage import Stage, stage
from tests.peers.dcmtk import Dcmtk
from tests.peers.running import wait_until

__all__ = ["stage"]

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
ROUNDS: Final = 200 if LONG else 8
"""Rounds of echoing that each legitimate client has to get while an attack goes on."""

MEMORY: Final = 192 << 20
"""Bytes that all attacks together may cost: 256 connections with an A-ASSOCIATE-RQ of 256 KiB half read are 64 MiB,
30 associations with their buffers about as much; what one attack freed, the allocator keeps for the next."""


KEPT: Final = 20
"""Descriptors that a server keeps for the next who comes: eight connections to the index and the one that watches it,
of two files each, and the shelf that is written to with its marker. An attack makes hundreds."""


@pytest.fixture(scope="module")
def at_rest(stage: Stage) -> tuple[int, int]:
    """Give memory (bytes) and descriptors of a server that has already served each kind of request."""
    with stage.legitimate() as (tls, plain):
        wait_until(
            lambda: min(len(tls.rounds), len(plain.rounds)) >= 5 or bool(tls.failures + plain.failures),
            "legitimate clients are served in peace",
        )
    assert tls.failures + plain.failures == []
    return stage.process.memory, stage.process.descriptors + KEPT


@pytest.mark.parametrize("name", ATTACKS)
def test_legitimate_clients_are_served_during_the_attack_and_nothing_is_left_of_it(
    stage: Stage, at_rest: tuple[int, int], name: str
) -> None:
    memory, descriptors = at_rest
    process = stage.process
    process.forget_peak()
    with stage.legitimate() as (tls, plain), stage.under(ATTACKS[name]):
        begun = len(tls.rounds), len(plain.rounds)
        wait_until(
            lambda: len(tls.rounds) - begun[0] >= ROUNDS and len(plain.rounds) - begun[1] >= ROUNDS,
            f"both legitimate clients are served during {name}: {tls}, {plain}",
            seconds=60 if not LONG else 280,
        )
    assert tls.failures == []
    assert plain.failures == []
    assert process.peak - memory < MEMORY
    stage.assert_unharmed(descriptors)


def test_dcmtk_echoes_while_a_thousand_connections_are_silent(
    stage: Stage, at_rest: tuple[int, int], dcmtk: Dcmtk
) -> None:
    with stage.under(ATTACKS["silent-from-many-addresses"]):
        for _ in range(5):
            said = dcmtk("echoscu", "-aet", "OLDSTATION", "-aec", "LEADGLASS", "127.0.0.1", str(stage.doors.plain[1]))
            assert said.code == 0, said.said
    stage.assert_unharmed(at_rest[1])
