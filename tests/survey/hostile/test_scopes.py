"""Whoever writes into a scope file, a list of targets or a name server reaches nothing that the scope excludes."""

import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.errors import BadInput, Misconfigured
from leadglass.survey.scope import SurveyScope, address_of, load, parse, plain

HEAD = """[survey]
owner = "a clinic"
contact = "its technician"
authorised_by = "its director"
valid_from = 2026-11-01
valid_until = 2026-12-01
"""


def _parse(where: str, *leads_to: str, vantage: str = "internal") -> SurveyScope:
    head = f'{HEAD}vantage = "{vantage}"\n[scope]\n'
    return parse(head + where, look_up=lambda _: tuple(map(ip_address, leads_to)))


@pytest.mark.parametrize("excluded", ["10.0.0.5", "::ffff:10.0.0.5", "::ffff:a00:5/128", "::ffff:10.0.0.0/125"])
def test_an_exclusion_holds_however_it_is_written(excluded: str) -> None:
    made = _parse(f'networks = ["10.0.0.0/24"]\nexclude = ["{excluded}"]')
    assert made.covers(ip_address("10.0.0.9"))
    assert not made.covers(ip_address("10.0.0.5"))
    assert not made.covers(ip_address("::ffff:10.0.0.5"))
    assert ip_address("10.0.0.5") not in set(made.addresses())


@pytest.mark.parametrize(
    ("network", "address"),
    [("64:ff9b::a00:0/112", "64:ff9b::10.0.0.5"), ("2002:a00:5::/112", "2002:a00:5::7")],
)
def test_an_exclusion_holds_through_a_gateway_from_ipv6(network: str, address: str) -> None:
    where = f'networks = ["{network}"]\n'
    assert _parse(where, vantage="internet").covers(ip_address(address))
    assert not _parse(f'{where}exclude = ["10.0.0.5"]', vantage="internet").covers(ip_address(address))


@pytest.mark.parametrize("where", ['networks = ["fe80::1%e"]', 'networks = ["10.0.0.0/24"]\nexclude = ["fe80::1%e"]'])
def test_a_network_has_no_zone(where: str) -> None:
    with pytest.raises(Misconfigured, match="is no network"):
        _parse(where)


@pytest.mark.parametrize(
    "text",
    [
        "2001:db8::1%\x1b[31m",
        "2001:db8::1%pacs.example",
        "fe80::1%eth0",
        "::ffff:10.0.0.1%x",
        "10.0.0.1%x",
        "010.0.0.1",
        "0x0a.0.0.1",
        "10.1",
        "167772161",
        "10.0.0.1.",
        "10.0.0.1/32",
        "[::1]",
        "\uff11\uff10.0.0.1",
        "10.0.0.1\0",
        "",
        "10.0.0.1 10.0.0.2",
    ],
)
def test_an_address_is_written_in_one_way_or_is_none(text: str) -> None:
    with pytest.raises(BadInput):
        address_of(text)


def test_what_is_connected_to_has_no_zone() -> None:
    assert str(plain(ip_address("2001:db8::1%pacs.example"))) == "2001:db8::1"
    assert str(plain(ip_address("::ffff:10.0.0.1%x"))) == "10.0.0.1"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "fe80::1"])
@pytest.mark.parametrize("vantage", ["internal", "internet"])
def test_a_name_does_not_lead_to_the_surveying_machine_itself(address: str, vantage: str) -> None:
    """Nor to the address by which clouds tell a machine its secrets."""
    with pytest.raises(Misconfigured, match="this machine itself"):
        _parse('hosts = ["pacs.example"]', address, vantage=vantage)
    assert list(_parse(f'hosts = ["pacs.example"]\nexclude = ["{address}"]', address).addresses()) == []


def test_a_name_may_lead_to_this_machine_where_the_networks_say_so() -> None:
    made = _parse('networks = ["127.0.0.0/24"]\nhosts = ["pacs.example"]', "127.0.0.7")
    assert made.covers(ip_address("127.0.0.7"))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:224.0.0.1", "::ffff:0.0.0.0"])
def test_a_name_that_leads_to_a_group_or_to_nowhere_leads_nowhere(address: str) -> None:
    made = _parse('networks = ["10.0.0.0/24"]\nhosts = ["pacs.example"]', address)
    assert not made.covers(ip_address(address))
    assert len(list(made.addresses())) == 254


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 100_000,
        "a" + ".a" * 1_500 + " = 1",
        "[scope]\nports = [" + "9" * 5_000 + "]",
        "[rate]\nseconds_between = nan",
        "[rate]\nseconds_between = 1e999",
        "\0",
        "\ufeff" + HEAD,
    ],
)
def test_a_file_that_is_no_scope_is_refused_in_words(text: str) -> None:
    with pytest.raises(Misconfigured):
        parse(text)


def test_a_scope_file_that_is_a_pipe_or_without_end_keeps_nobody_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(Misconfigured):
            load(path)
