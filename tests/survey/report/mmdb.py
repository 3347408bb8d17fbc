"""Files in the MaxMind DB format 2.0, written by the letter of its specification."""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path


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


def database(path: Path, networks: Mapping[str, object]) -> Path:
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
