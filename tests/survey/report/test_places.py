"""Places: what a file in the MaxMind DB format says of an address, and nothing of what it should not."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from leadglass.errors import Misconfigured
from leadglass.survey.report.model import Place
from leadglass.survey.report.places import Places


def _encoded(value: object) -> bytes:
    """Write a value as the format has it (MaxMind DB 2.0, data section); maps, texts and numbers of few bytes."""
    match value:
        case str():
            raw = value.encode()
            size = bytes([0x40 | len(raw)]) if len(raw) < 29 else bytes([0x40 | 29, len(raw) - 29])
            return size + raw
        case int():
            raw = value.to_bytes(4, "big").lstrip(b"\0")
            return bytes([0xC0 | len(raw)]) + raw  # unsigned, 32 bits
        case ():
            return b"\x00\x04"  # an empty array
        case _:
            assert isinstance(value, Mapping)
            pairs: Mapping[str, object] = value  # pyright: ignore[reportUnknownVariableType]
            return bytes([0xE0 | len(pairs)]) + b"".join(_encoded(each) for pair in pairs.items() for each in pair)


def _database(path: Path, networks: Mapping[str, object]) -> Path:
    """Write a file of IPv4 networks, with records of 24 bits."""
    nodes: list[list[int | str | None]] = [[None, None]]
    for text in networks:
        network = ip_network(text)
        bits = f"{int(network.network_address):032b}"[: network.prefixlen]
        at = 0
        for bit in bits[:-1]:
            below = nodes[at][int(bit)]
            if not isinstance(below, int):
                nodes.append([None, None])
                below = nodes[at][int(bit)] = len(nodes) - 1
            at = below
        nodes[at][int(bits[-1])] = text
    data, places = b"", dict[str, int]()
    for text, value in networks.items():
        places[text] = len(nodes) + 16 + len(data)
        data += _encoded(value)

    def record(value: int | str | None) -> bytes:
        number = len(nodes) if value is None else places[value] if isinstance(value, str) else value
        return number.to_bytes(3, "big")

    tree = b"".join(record(value) for node in nodes for value in node)
    about: dict[str, object] = {
        "node_count": len(nodes), "record_size": 24, "ip_version": 4, "database_type": "Test",
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1,
        "description": {}, "languages": (),
    }  # fmt: skip
    path.write_bytes(tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + _encoded(about))
    return path


def test_countries_and_organisations_come_from_the_files_that_know_them(tmp_path: Path) -> None:
    countries = _database(
        tmp_path / "countries", {"192.0.2.0/25": {"country": {"iso_code": "DE", "names": {"en": "Germany"}}}}
    )
    organisations = _database(tmp_path / "asn", {"192.0.2.0/24": {"autonomous_system_organization": "Clinic Net"}})
    with Places([countries, organisations]) as places:
        assert places(ip_address("192.0.2.10")) == Place("Germany", "Clinic Net")
        assert places(ip_address("192.0.2.200")) == Place("", "Clinic Net")
        assert places(ip_address("198.51.100.1")) == Place()
        assert places(ip_address("2001:db8::1")) == Place()


def test_what_a_file_says_is_shortened_and_obeyed_by_no_terminal(tmp_path: Path) -> None:
    file = _database(
        tmp_path / "x", {"192.0.2.0/24": {"country": "A\x1b[2J\u202eB", "autonomous_system_organization": "y" * 200}}
    )
    with Places([file]) as places:
        place = places(ip_address("192.0.2.1"))
    assert place == Place("A[2JB", "y" * 80)


def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04", b"\xab\xcd\xefMaxMind.com", b"\xab\xcd\xefMaxMind.com\xff" * 9):
        file = tmp_path / "no.mmdb"
        file.write_bytes(content)
        with pytest.raises(Misconfigured, match=r"no\.mmdb"):
            Places([file])


def test_a_damaged_file_knows_nothing_or_is_refused(tmp_path: Path) -> None:
    whole = _database(tmp_path / "x", {"192.0.2.0/24": {"country": {"iso_code": "DE"}}}).read_bytes()
    for place in range(0, len(whole), 3):
        file = tmp_path / "damaged"
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            with Places([file]) as places:
                assert isinstance(places(ip_address("192.0.2.1")), Place)
        except Misconfigured:
            continue
