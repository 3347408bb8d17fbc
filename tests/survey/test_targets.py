"""Files of other engines: each form is read, filtered and de-duplicated; hostile ones are refused in a sentence."""

import json
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import BadInput
from leadglass.survey.scope import SurveyScope
from leadglass.survey.targets import Counted, Form, Import, form_of
from tests.survey.visiting import scope

NMAP = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<nmaprun scanner="nmap"><host><status state="up"/><address addr="127.0.0.5" addrtype="ipv4"/>
<address addr="00:11:22:33:44:55" addrtype="mac"/><hostnames><hostname name="pacs.example.org" type="PTR"/></hostnames>
<ports><port protocol="tcp" portid="104"><state state="open"/><service name="dicom"/></port>
<port protocol="tcp" portid="80"><state state="closed"/></port>
<port protocol="udp" portid="53"><state state="open"/></port></ports></host>
<host><address addr="192.0.2.1" addrtype="ipv4"/><ports><port protocol="tcp" portid="104"><state state="open"/></port>
</ports></host></nmaprun>"""
MASSCAN = """[
{ "ip": "127.0.0.5", "timestamp": "1", "ports": [ {"port": 104, "proto": "tcp", "status": "open"} ] },
{ "ip": "127.0.0.5", "timestamp": "2", "ports": [ {"port": 104, "proto": "tcp", "status": "open"} ] },
{ "ip": "192.0.2.1", "timestamp": "3", "ports": [ {"port": 104, "proto": "tcp", "status": "open"} ] },
{finished: 1}
]"""
SHODAN = "\n".join(
    json.dumps(each)
    for each in (
        {"ip_str": "127.0.0.5", "port": 104, "data": 'a } banner { with "brackets" \\ '},
        {"ip_str": "192.0.2.1", "port": 104},
        {"ip_str": "127.0.0.5", "port": "not one"},
        {"ip_str": 7, "port": 104},
    )
)
CENSYS = [
    {"ip": "127.0.0.5", "services": [{"port": 104, "transport_protocol": "TCP"}]},
    {"ip": "127.0.0.5", "services": [{"port": 53, "transport_protocol": "UDP"}]},
    {"ip": "192.0.2.1", "services": [{"port": 104}]},
]  # fmt: skip
NUCLEI = "\n".join(
    json.dumps(each)
    for each in (
        {"template-id": "t", "host": "127.0.0.5:104", "matched-at": "127.0.0.5:104", "ip": "127.0.0.5"},
        {"template-id": "t", "matched-at": "http://192.0.2.1:104/x"},
        {"template-id": "t", "matched-at": "http://[::"},
    )
)
FILES = {
    "nmap": (Form.NMAP, NMAP),
    "masscan": (Form.MASSCAN, MASSCAN),
    "masscan-list": (Form.MASSCAN_LIST, "#masscan\nopen tcp 104 127.0.0.5 1\nopen tcp 104 192.0.2.1 1\n# end\n"),
    "zmap": (Form.ZMAP, "saddr,sport,success\n127.0.0.5,104,1\n127.0.0.6,104,0\n192.0.2.1,104,1\n"),
    "shodan": (Form.SHODAN, SHODAN),
    "censys in lines": (Form.CENSYS, "\n".join(json.dumps(each) for each in CENSYS)),
    "censys in an array": (Form.CENSYS, json.dumps(CENSYS, indent=2)),
    "censys as the API gives it": (Form.CENSYS, json.dumps({"code": 200, "result": {"hits": CENSYS}})),
    "nuclei": (Form.NUCLEI, NUCLEI),
    "assets": (Form.CSV, "Owner,Address,Port\nRadiology,127.0.0.5,104\nCardiology,192.0.2.1,104\n"),
    "assets of a spreadsheet": (Form.CSV, "\ufeffowner;ip;port\r\nRadiology;127.0.0.5;104\r\nX;192.0.2.1;104\r\n"),
}


def _read(
    folder: Path,
    text: str | bytes,
    form: Form | None = None,
    port: int | None = None,
    within: SurveyScope | None = None,
) -> tuple[list[tuple[str, int]], Counted]:
    path = folder / "found"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    read = Import(path, within or scope(), form, port)
    return [(str(each.address), each.port) for each in read.targets()], read.counted


@pytest.mark.parametrize("name", FILES)
def test_each_form_is_recognised_and_gives_what_is_open_in_the_scope(name: str, tmp_path: Path) -> None:
    form, text = FILES[name]
    assert form_of(text.encode(), tmp_path) is form
    found, told = _read(tmp_path, text)
    assert found == [("127.0.0.5", 104)]
    assert (told.taken, told.outside) == (1, 1)


def test_what_comes_twice_is_looked_at_once(tmp_path: Path) -> None:
    _, told = _read(tmp_path, MASSCAN)
    assert (told.taken, told.twice) == (1, 1)


def test_what_is_excluded_is_no_target(tmp_path: Path) -> None:
    within = replace(scope(), exclude=(ip_network("127.0.0.5/32"),))
    assert _read(tmp_path, NMAP, within=within)[0] == []


def test_addresses_without_a_port_need_one_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--port"):
        _read(tmp_path, "127.0.0.5\n127.0.0.6\n")
    assert _read(tmp_path, "127.0.0.5\n127.0.0.6\n", port=104)[0] == [("127.0.0.5", 104), ("127.0.0.6", 104)]


def test_an_asset_without_a_port_is_looked_at_on_the_scopes_ports(tmp_path: Path) -> None:
    within = replace(scope(), ports=(104, 11112))
    assert _read(tmp_path, "address\n127.0.0.5\n", within=within)[0] == [("127.0.0.5", 104), ("127.0.0.5", 11112)]


def test_a_name_counts_only_where_the_scope_resolved_it(tmp_path: Path) -> None:
    within = replace(scope(), hosts={"pacs.example.org": (ip_address("127.0.0.9"),)})
    text = "hostname,port\nPACS.example.org,104\nlocalhost,104\n"
    found, told = _read(tmp_path, text, within=within)
    assert found == [("127.0.0.9", 104)]
    assert told.unusable == 1


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><nmaprun>&b;</nmaprun>'
)
OUTWARD = '<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY a SYSTEM "file:///etc/passwd">]><nmaprun>&a;</nmaprun>'


@pytest.mark.parametrize(
    ("text", "form", "said"),
    [
        (LAUGHS, Form.NMAP, "entities"),
        (OUTWARD, Form.NMAP, "entities"),
        ("<nmaprun>" + "<a>" * 100, Form.NMAP, "nested"),
        ("<nmaprun><host", Form.NMAP, "not XML"),
        ("[{" + '"a":[' * 100_000, Form.MASSCAN, "middle"),
        ('{"a":' * 3_000 + "1" + "}" * 3_000, Form.SHODAN, "not JSON"),
        ('{"ip_str": "192.0.2.1"}\n\n{\n"ip_str" 5}', Form.SHODAN, "Line 4"),
        ("}", Form.SHODAN, "between"),
        ("unlocked tcp 5\n", Form.MASSCAN_LIST, "Line 1"),
        ("address\n127.0.0.5\n\xff", Form.CSV, None),
        (b"address\n\xff\xfe\n", Form.CSV, "UTF-8"),
        ("colour,size\nred,5\n", Form.CSV, "column"),
        ("what is this", None, "--from"),
        ("", None, "--from"),
    ],
    ids=[
        "laughs",
        "entity of a file",
        "deep XML",
        "half an element",
        "half an object",
        "deep JSON",
        "no JSON",
        "braces the wrong way",
        "a strange line",
        "an address that is none",
        "no text",
        "no column",
        "prose",
        "nothing",
    ],
)
def test_what_is_broken_or_hostile_is_refused_in_a_sentence(
    text: str | bytes, form: Form | None, said: str | None, tmp_path: Path
) -> None:
    if said is None:
        assert _read(tmp_path, text, form)[1].unusable == 1
        return
    with pytest.raises(BadInput, match=said):
        _read(tmp_path, text, form)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("begin", [b"", b"{", b"<nmaprun><host a='", b'{"a":"'], ids=str)
def test_a_line_without_an_end_is_given_up_and_not_kept(form: Form, begin: bytes, tmp_path: Path) -> None:
    path = tmp_path / "endless"
    with path.open("wb") as file:
        file.write(begin)
        file.truncate(10 << 30)  # ten gigabytes of nothing, which take no room
    tracemalloc.start()
    try:
        with pytest.raises(BadInput):
            list(Import(path, scope(), form).targets())
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def _shodan(count: int) -> str:
    return "\n".join(
        json.dumps({"ip_str": f"127.0.{number >> 8}.{number & 255}", "port": 104, "data": "x" * 100})
        for number in range(count)
    )


def test_16_384_targets_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_text(_shodan(16_384))
    read = Import(path, replace(scope(), networks=(ip_network("127.0.0.0/16"),)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read.targets()) == 16_384
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=400), st.sampled_from(list(Form)))
def test_whatever_a_file_holds_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, form: Form
) -> None:
    path = tmp_path_factory.getbasetemp() / "anything"
    path.write_bytes(data)
    with suppress(BadInput):
        assert all(1 <= each.port <= 65_535 for each in Import(path, scope(), form, 104).targets())


def test_entries_that_are_of_no_use_are_counted_and_the_first_named_by_their_lines(tmp_path: Path) -> None:
    for text in (
        "#masscan\nopen tcp 104 127.0.0.5 1\n\nopen tcp 0 127.0.0.6 1\nopen tcp 104 nowhere 1\n",
        "address,port\n127.0.0.5,104\n\nnowhere,104\n127.0.0.6,many\n",
        '[{"ip": "127.0.0.5",\n"ports": [{"port": 104}]},\n\n{"ip": "nowhere", "ports": [{"port": 104}]},\n'
        '{"ip": "nobody",\n"ports": [{"port": 104}]}]',
        '<?xml version="1.0"?><nmaprun>\n<host>\n<address addr="nowhere" addrtype="ipv4"/><ports><port protocol="tcp" '
        'portid="104"><state state="open"/></port></ports>\n</host><host><address addr="nobody"/><ports><port '
        'protocol="tcp" portid="104"><state state="open"/></port></ports>\n</host></nmaprun>',
    ):
        _, told = _read(tmp_path, text)
        assert (told.unusable, told.unusable_lines) == (2, [4, 5])


def test_of_many_useless_lines_some_are_named(tmp_path: Path) -> None:
    _, told = _read(tmp_path, "address\n" + "nowhere\n" * 1_000)
    assert (told.unusable, told.unusable_lines) == (1_000, [2, 3, 4, 5, 6])
