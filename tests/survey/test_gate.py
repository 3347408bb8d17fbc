"""The gate: nothing outside the scope, one at a time and some time apart, and a stop that says goodbye."""

import asyncio
import ssl
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import Denied
from leadglass.survey.gate import Closed, Gate, Line, Stopped, Unreachable
from leadglass.survey.journal import Journal
from leadglass.survey.scope import Address, Hours, Rate
from leadglass.survey.speech.tls import lenient_context
from tests.peers.running import free_port, wait_until
from tests.survey.surroundings import listening
from tests.survey.visiting import scope
from tests.wire.harness import Authority

HERE = ip_address("127.0.0.1")


class Unwritten(Journal):
    """A journal that keeps what was done in memory."""

    def __init__(self) -> None:
        self.acts: list[tuple[str, str, int]] = []

    def write(self, act: str, check: str, address: Address, port: int, octets: int = 0) -> None:
        """Keep the act."""
        self.acts.append((act, str(address), port))


class Hurried(Gate):
    """A gate whose waiting costs no time, and is counted."""

    now = 0.0

    async def pause(self, seconds: float) -> None:
        """Move the clock on."""
        if self.is_stopped:
            raise Stopped("The survey was stopped.")
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)


def hurried(rate: Rate) -> tuple[Hurried, Unwritten]:
    """Give a gate with its own clock."""
    journal = Unwritten()
    gate: Hurried
    gate = Hurried(replace(scope(), rate=rate), journal, clock=lambda: gate.now)
    return gate, journal


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=30),
    st.floats(0, 5),
    st.floats(0.5, 100),
)
def test_no_host_is_asked_sooner_than_said_and_all_together_no_faster(
    hosts: Sequence[int], between: float, per_second: float
) -> None:
    gate, _ = hurried(Rate(per_second, between, 4))
    begun: list[tuple[int, float, float]] = []

    async def scene() -> None:
        for host in hosts:
            async with gate.turn(ip_address(f"127.0.0.{host}"), 104, "a check"):
                first = gate.now
                gate.now += 0.25  # what is said takes some time
                begun.append((host, first, gate.now))

    asyncio.run(scene())
    for one, other in pairwise(begun):
        assert other[1] - one[1] >= 1 / per_second - 1e-6
    for host in set(hosts):
        mine = [each for each in begun if each[0] == host]
        for one, other in pairwise(mine):
            assert other[1] - one[2] >= between - 1e-6


def test_one_at_a_time_to_a_host_and_others_meanwhile() -> None:
    gate, _ = hurried(Rate(10_000, 0, 8))
    open_now: dict[int, int] = {}
    most: dict[str, int] = {"one": 0, "all": 0}

    async def ask(host: int) -> None:
        async with gate.turn(ip_address(f"127.0.0.{host}"), 104, "a check"):
            open_now[host] = open_now.get(host, 0) + 1
            most["one"] = max(most["one"], open_now[host])
            most["all"] = max(most["all"], sum(open_now.values()))
            for _ in range(20):
                await asyncio.sleep(0)
            open_now[host] -= 1

    async def scene() -> None:
        await asyncio.gather(*(ask(number % 3 + 1) for number in range(12)))

    asyncio.run(scene())
    assert most["one"] == 1
    assert most["all"] > 1


def test_nothing_is_opened_outside_the_scope_and_nothing_is_in_the_journal_of_it() -> None:
    journal = Unwritten()
    accepted: list[Any] = []

    async def scene(port: int) -> None:
        gate = Gate(replace(scope(), exclude=(ip_network("127.0.0.1/32"),)), journal)
        for address in (HERE, ip_address("::ffff:127.0.0.1"), ip_address("::1"), ip_address("127.0.1.1")):
            with pytest.raises(Denied, match="outside of the scope"):
                async with gate.connect(address, port, "a check"):
                    pass
        assert gate.connections == 0

    with listening(accepted.append) as port:
        asyncio.run(scene(port))
    assert accepted == []
    assert journal.acts == []


def test_outside_its_hours_it_waits() -> None:
    gate, journal = hurried(Rate(1_000, 0, 1))
    day = datetime(2026, 11, 20, 12)  # noqa: DTZ001 - a Friday
    gate.scope = replace(gate.scope, hours=Hours(days=("sat",)))
    gate._wall = lambda: day.replace(day=21) if gate.now >= 5 else day  # pyright: ignore[reportPrivateUsage]

    async def scene() -> None:
        async with gate.turn(HERE, 104, "a check"):
            assert gate.now >= 5

    asyncio.run(scene())
    assert len(journal.acts) == 1


def test_every_act_is_in_the_journal_before_it_happens() -> None:
    journal = Unwritten()
    seen: list[list[str]] = []

    def serve(line: Any) -> None:
        while line.recv(100):
            seen.append([act for act, _, _ in journal.acts])
            line.sendall(b"answer")

    async def scene(port: int) -> None:
        async with Gate(scope(), journal).connect(HERE, port, "a check") as line:
            await line.send(b"question", "a question")
            assert await line.exactly(6) == b"answer"

    with listening(serve) as port:
        asyncio.run(scene(port))
        assert journal.acts == [("connect", "127.0.0.1", port), ("a question", "127.0.0.1", port)]
    assert seen == [["connect", "a question"]]


def test_who_is_not_there_is_told_from_who_refuses() -> None:
    async def scene() -> None:
        with pytest.raises(Unreachable) as refused:
            async with Gate(scope(), Unwritten()).connect(HERE, free_port(), "a check"):
                pass
        assert refused.value.is_refused

    asyncio.run(scene())


def test_a_flood_is_not_drunk() -> None:
    def flood(line: Any) -> None:
        while True:
            line.sendall(bytes(65_536))

    async def scene(port: int) -> None:
        async with Gate(scope(), Unwritten()).connect(HERE, port, "a check") as line:
            taken: list[int] = []

            async def drink() -> None:
                while True:
                    taken.append(len(await line.some()))

            with pytest.raises(Closed, match="more than was asked"):
                await drink()
            assert sum(taken) <= 1 << 20

    with listening(flood) as port:
        asyncio.run(scene(port))


def test_a_stop_says_goodbye_on_every_open_line_and_opens_no_more() -> None:
    """With a peer that takes connections and never answers: every line that is open then parts by its own words."""
    heard: list[bytes] = []

    def serve(line: Any) -> None:
        taken = b""
        while data := line.recv(100):
            taken += data
        heard.append(taken)

    async def scene(ports: list[int]) -> None:
        gate = Gate(scope(), Unwritten())
        up = asyncio.Barrier(4)

        async def talk(host: int, port: int) -> None:
            async with gate.connect(ip_address(f"127.0.0.{host}"), port, "a check") as line:

                async def goodbye(line: Line = line) -> None:
                    await line.send(b"goodbye", "goodbye")

                line.farewell = goodbye
                await up.wait()
                await line.exactly(1)

        talking = [asyncio.create_task(talk(host, port)) for host, port in enumerate(ports, 1)]
        await up.wait()
        await gate.stop()
        await gate.stopped()
        for each in await asyncio.gather(*talking, return_exceptions=True):
            assert isinstance(each, Closed)
        with pytest.raises(Stopped):
            async with gate.connect(HERE, ports[0], "a check"):
                pass

    with ExitStack() as stack:
        ports = [stack.enter_context(listening(serve, f"127.0.0.{host}")) for host in (1, 2, 3)]
        asyncio.run(scene(ports))
        wait_until(lambda: len(heard) == 3, "every line was closed")
    assert heard == [b"goodbye"] * 3


def test_a_goodbye_that_hangs_does_not_hold_a_stop_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadglass.survey.gate.FAREWELL", 0.05)

    async def scene(port: int) -> None:
        gate = Gate(scope(), Unwritten())
        async with gate.connect(HERE, port, "a check") as line:

            async def never() -> None:
                await asyncio.Event().wait()

            line.farewell = never
            await asyncio.wait_for(gate.stop(), 30)

    with listening(lambda line: line.recv(1)) as port:
        asyncio.run(scene(port))


def test_a_machine_that_sleeps_does_not_begin_more_in_a_second_than_said() -> None:
    """All who were due meanwhile wake at once: those who are too many wait on."""
    gate, _ = hurried(Rate(10, 0, 64))
    begun: list[float] = []

    async def ask(host: int) -> None:
        async with gate.turn(ip_address(f"127.0.0.{host}"), 104, "a check"):
            begun.append(gate.now)

    async def scene() -> None:
        asking = [asyncio.create_task(ask(host)) for host in range(1, 41)]
        for _ in range(4):
            await asyncio.sleep(0)
        gate.now += 2  # nobody was woken for two seconds
        await asyncio.gather(*asking)

    asyncio.run(scene())
    for first, eleventh in zip(begun, begun[10:], strict=False):
        assert eleventh - first >= 1 - 1e-6


def test_who_does_not_answer_the_goodbye_of_tls_does_not_hold_the_connection(tmp_path: Path) -> None:
    """One connection at a time to a host: the second one begins when the first has really ended."""
    authority = Authority(tmp_path, "authority")
    credentials = authority.issue("mute")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials.certificate, credentials.key)
    ended = threading.Event()

    def serve(line: Any) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secured = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:  # by hand: what comes after the handshake is never answered
            try:
                secured.do_handshake()
                break
            except ssl.SSLWantReadError:
                line.sendall(outgoing.read())
                incoming.write(line.recv(65_536))
        line.sendall(outgoing.read())
        with suppress(OSError):
            while line.recv(65_536):
                pass
        ended.set()

    async def scene(port: int) -> None:
        async with Gate(scope(), Unwritten()).connect(HERE, port, "a check", tls=lenient_context()):
            pass
        # the end is on its way when the block is left: nothing but the way itself is waited for
        await asyncio.to_thread(ended.wait, 20)
        assert ended.is_set()

    with listening(serve) as port:
        asyncio.run(scene(port))


def test_ipv6_is_spoken() -> None:
    gate = Gate(replace(scope(), networks=(ip_network("::1/128"),)), Unwritten())

    async def scene(port: int) -> None:
        async with gate.connect(ip_address("::1"), port, "a check") as line:
            assert await line.exactly(5) == b"hello"

    try:
        with listening(lambda line: line.sendall(b"hello"), "::1") as port:
            asyncio.run(scene(port))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")


def test_an_address_of_a_group_or_of_nobody_is_outside_of_every_scope() -> None:
    everything = replace(scope(), networks=tuple(ip_network(each) for each in ("224.0.0.0/16", "0.0.0.0/16")))
    for address in ("224.0.0.1", "0.0.0.0", "::", "ff02::1", "::ffff:224.0.0.1"):
        assert not everything.covers(ip_address(address))
