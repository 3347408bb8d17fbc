"""Lists of targets that are made to hurt who reads them."""

import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from leadglass.errors import BadInput
from leadglass.survey.targets import Form, Import
from tests.survey.visiting import scope

_LARGE: Final = 8 << 20
_HOST: Final = (
    b'<host><address addr="127.0.0.9"/><ports><port protocol="tcp" portid="104"><state state="open"/></port></ports>'
    b"</host>"
)

ENDLESS: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "a value": (b'<nmaprun><host a="', b'"/></nmaprun>'),
    "a comment": (b"<nmaprun><!--", b"--></nmaprun>"),
    "an instruction": (b"<nmaprun><?x ", b"?></nmaprun>"),
    "a declaration": (b'<!DOCTYPE nmaprun [<!ATTLIST a b CDATA "', b'">]><nmaprun/>'),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_does_not_end_is_not_gathered(name: str, tmp_path: Path) -> None:
    begin, end = ENDLESS[name]
    file = tmp_path / "nmap.xml"
    file.write_bytes(begin + b"aaa> " * (_LARGE // 5) + end)
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="does not end"):
            list(Import(file, scope(), Form.NMAP).targets())
        assert tracemalloc.get_traced_memory()[1] < _LARGE
    finally:
        tracemalloc.stop()


def test_a_long_file_of_many_hosts_is_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "nmap.xml"
    said = b"<!-- what nmap was told -->" + b"text " * 20_000
    file.write_bytes(b"<!DOCTYPE nmaprun><nmaprun>" + said + _HOST * 20_000 + said + b"</nmaprun>")
    read = Import(file, scope(), Form.NMAP)
    assert [str(each.address) for each in read.targets()] == ["127.0.0.9"]
    assert read.counted.twice == 19_999


ADDRESSES: Final = (
    "::ffff:192.0.2.1", "0177.0.0.1", "0x7f000001", "2130706433", "127.1", "127.0.0.9%x", "::1%lo", "fe80::1%eth0",
    "127.0.0.9.", "127.0.0.9/32", "127.0.0.9:104", "localhost", "192.0.2.1", "127.0.1.9", "0.0.0.0", "255.255.255.255",
    "127.0.0.9\\u0000", "\\ud800",
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_outside_is_outside_in_every_notation(address: str, tmp_path: Path) -> None:
    file = tmp_path / "shodan.json"
    file.write_text(f'{{"ip_str": "{address}", "port": 104}}\n')
    assert list(Import(file, scope(), Form.SHODAN).targets()) == []


@pytest.mark.parametrize(
    "port", ["0", "65536", "-1", "1e3", "104.0", "true", "null", '"+104"', '" 104"', '"\uff11\uff10\uff14"', "9" * 400]
)
def test_what_is_no_port_is_none(port: str, tmp_path: Path) -> None:
    file = tmp_path / "shodan.json"
    file.write_text(f'{{"ip_str": "127.0.0.9", "port": {port}}}\n', encoding="utf-8")
    assert list(Import(file, scope(), Form.SHODAN).targets()) == []
