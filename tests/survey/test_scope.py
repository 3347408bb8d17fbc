"""The scope: what may be asked, and that nothing else is."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime, time
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import Misconfigured
from leadglass.survey.scope import Address, Hours, Level, SurveyScope, Vantage, load, parse
from leadglass.survey.template import template

HEAD = """[survey]
owner = "a clinic"
contact = "its technician"
authorised_by = "its director"
valid_from = 2026-11-01
valid_until = 2026-12-01
"""


def _nothing(_: str) -> Iterable[Address]:
    return ()


def scope(where: str = 'networks = ["192.0.2.0/24"]', *, head: str = HEAD, rest: str = "") -> SurveyScope:
    """Parse a scope with the keys that are always there."""
    return parse(f"{head}\n[scope]\n{where}\n{rest}", look_up=_nothing)


def test_what_is_in_it_is_covered_and_nothing_else() -> None:
    made = scope('networks = ["192.0.2.0/25", "2001:db8::/120"]')
    assert made.covers(ip_address("192.0.2.1"))
    assert made.covers(ip_address("2001:db8::7"))
    assert made.covers(ip_address("::ffff:192.0.2.1"))  # the same host, written otherwise
    assert not made.covers(ip_address("192.0.2.200"))
    assert not made.covers(ip_address("2001:db8:1::7"))
    assert (made.level, made.vantage) == (Level.PROVE, Vantage.INTERNAL)


@given(st.integers(0, 2**32 - 1), st.integers(16, 32), st.integers(0, 2**32 - 1), st.integers(8, 32))
def test_what_is_excluded_is_outside_whatever_else_is_said(inside: int, wide: int, out: int, how: int) -> None:
    network, excluded = ip_network((inside, wide), strict=False), ip_network((out, how), strict=False)
    made = SurveyScope(
        "o", "c", "a", date(2026, 1, 1), date(2026, 2, 1), networks=(network,), exclude=(excluded,),
        hosts={"a.example": (ip_address(out), ip_address(inside))},
    )  # fmt: skip
    for address in (ip_address(out), ip_address(inside), network[0], network[-1]):
        if address in excluded:
            assert not made.covers(address)
            assert not made.covers(ip_address(f"::ffff:{address}"))


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(27, 32)), min_size=1, max_size=4), st.integers(0, 300))
def test_every_address_is_given_once_and_each_is_covered(parts: list[tuple[int, int]], named: int) -> None:
    base = int(ip_address("192.0.2.0"))
    made = SurveyScope(
        "o", "c", "a", date(2026, 1, 1), date(2026, 2, 1),
        networks=tuple(ip_network((base + at, size), strict=False) for at, size in parts),
        hosts={"a.example": (ip_address(base + named),)},
        exclude=(ip_network((base, 30)),),
    )  # fmt: skip
    given_ = list(made.addresses())
    assert len(given_) == len(set(given_))
    assert all(made.covers(each) for each in given_)


def test_a_name_is_looked_up_once_and_what_it_points_at_later_changes_nothing() -> None:
    asked: list[str] = []

    def look_up(name: str) -> Iterable[Address]:
        asked.append(name)
        return (ip_address(f"10.0.0.{len(asked)}"),)

    made = parse(f'{HEAD}\n[scope]\nhosts = ["pacs.example.org"]\n', look_up=look_up)
    assert made.covers(ip_address("10.0.0.1"))
    assert not made.covers(ip_address("10.0.0.2"))  # what it points at by now
    assert list(made.addresses()) == [ip_address("10.0.0.1")]
    assert asked == ["pacs.example.org"]


def _public(_: str) -> Iterable[Address]:
    return (ip_address("10.0.0.7"), ip_address("11.22.33.44"))


def test_a_name_that_leads_to_the_internet_is_refused_from_inside() -> None:
    """Whole, with what else it leads to: whoever changes the name's addresses widens no scope in silence."""
    where = '[scope]\nhosts = ["pacs.example"]\n'
    with pytest.raises(Misconfigured, match=r"pacs\.example, which leads to 11\.22\.33\.44"):
        parse(f"{HEAD}{where}", look_up=_public)
    outside = parse(f'{HEAD}vantage = "internet"\n{where}', look_up=_public)
    assert outside.covers(ip_address("11.22.33.44"))
    excluded = parse(f'{HEAD}{where}exclude = ["11.0.0.0/8"]\n', look_up=_public)
    assert [str(each) for each in excluded.addresses()] == ["10.0.0.7"]


@pytest.mark.parametrize("missing", ["owner", "contact", "authorised_by", "valid_from", "valid_until"])
def test_a_scope_that_does_not_say_who_allowed_it_and_until_when_is_none(missing: str) -> None:
    head = "\n".join(line for line in HEAD.splitlines() if not line.startswith(missing))
    with pytest.raises(Misconfigured, match=missing):
        scope(head=head + "\n")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("", "neither networks nor hosts"),
        ("networks = []", "neither networks nor hosts"),
        ('networks = ["0.0.0.0/0"]', "wider than /16"),
        ('networks = ["10.0.0.0/15"]', "wider than /16"),
        ('networks = ["2001:db8::/64"]', "wider than /112"),
        ('networks = ["192.0.2.1/24"]', "no network"),
        ('networks = "192.0.2.0/24"', "list of texts"),
        ('networks = ["8.8.8.0/24"]', "of the internet"),
        ('hosts = ["-bad.example"]', "no host name"),
        ('networks = ["192.0.2.0/24"]\nports = [0]', "no TCP port"),
        ('networks = ["192.0.2.0/24"]\nports = []', "list of TCP ports"),
        ('networks = ["192.0.2.0/24"]\nexcludes = []', "Is it exclude"),
    ],
)
def test_what_a_scope_may_not_say_is_refused_with_what_to_write(where: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        scope(where)


@pytest.mark.parametrize(
    "rest",
    [
        "[rate]\nconnections_per_second = 0",
        "[rate]\nconnections_per_second = nan",
        "[rate]\nseconds_between = -1",
        "[rate]\nhosts_at_once = true",
        '[hours]\ndays = ["someday"]',
        '[hours]\nfrom = "25:00"',
        "[pace]\nx = 1",
    ],
)
def test_a_rate_or_hours_that_make_no_sense_are_refused(rest: str) -> None:
    with pytest.raises(Misconfigured):
        scope(rest=rest)


@pytest.mark.parametrize("level", ["4", "-1", "true", '"2"', "2.5"])
def test_a_level_that_is_none_is_refused(level: str) -> None:
    with pytest.raises(Misconfigured, match="level"):
        scope(head=HEAD + f"level = {level}\n")


def test_it_is_in_force_from_its_first_day_to_its_last() -> None:
    made = scope()
    made.require_in_force(date(2026, 11, 1))
    made.require_in_force(date(2026, 12, 1))
    with pytest.raises(Misconfigured, match="from 2026-11-01"):
        made.require_in_force(date(2026, 10, 31))
    with pytest.raises(Misconfigured, match="authorised again"):
        made.require_in_force(date(2026, 12, 2))


def test_nobody_authorises_for_longer_than_a_year_or_backwards() -> None:
    for first, last in (("2026-11-01", "2027-11-03"), ("2026-12-01", "2026-11-01")):
        head = HEAD.replace("2026-11-01", "F").replace("2026-12-01", "L").replace("F", first).replace("L", last)
        with pytest.raises(Misconfigured, match="at most a year"):
            scope(head=head)


def test_a_night_belongs_to_the_day_it_begins_on() -> None:
    hours = Hours(days=("fri",), start=time(22), end=time(6))
    assert hours.contain(datetime(2026, 11, 20, 23))  # noqa: DTZ001 - a Friday, in the machine's time
    assert hours.contain(datetime(2026, 11, 21, 5, 59))  # noqa: DTZ001
    assert not hours.contain(datetime(2026, 11, 21, 23))  # noqa: DTZ001
    assert not hours.contain(datetime(2026, 11, 20, 5))  # noqa: DTZ001
    assert not hours.contain(datetime(2026, 11, 21, 6))  # noqa: DTZ001


@given(st.text(max_size=200))
def test_any_text_is_a_scope_or_is_refused(text: str) -> None:
    for each in (text, f"{HEAD}\n[scope]\n{text}"):
        with suppress(Misconfigured):
            made = parse(each, look_up=_nothing)
            assert made.networks or made.hosts


def test_the_template_is_a_scope_once_it_is_filled_in_and_none_before(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    text = template(date(2026, 11, 22))
    path.write_text(text)
    with pytest.raises(Misconfigured, match="neither networks nor hosts"):
        load(path)
    text = text.replace("networks = []", 'networks = ["192.0.2.0/24"]')
    path.write_text(text)
    with pytest.raises(Misconfigured, match="owner"):
        load(path)
    for key in ("owner", "contact", "authorised_by"):
        text = text.replace(f'{key} = ""', f'{key} = "somebody"')
    path.write_text(text)
    load(path).require_in_force(date(2026, 11, 22))


def test_a_file_that_is_not_there_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="survey init"):
        load(tmp_path / "none.toml")
    with pytest.raises(Misconfigured, match="not TOML"):
        parse("owner = ")
