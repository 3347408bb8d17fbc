import json
import zlib
from contextlib import suppress
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom.json_text import Deflated, JsonText, stored
from leadglass.dicom.model import Attributes
from leadglass.errors import Corrupt

TRICKS = ['"BulkDataURI":"bulk:1,2"', '\\"BulkDataURI":"', "BulkDataURI", '"', "\\", "\u2028", "</script>", "\0"]

elements = st.one_of(
    st.fixed_dictionaries({"vr": st.just("LO"), "Value": st.lists(st.text(max_size=20) | st.sampled_from(TRICKS))}),
    st.fixed_dictionaries({"vr": st.just("OW"), "BulkDataURI": st.just("bulk:4096,8")}),
    st.fixed_dictionaries({"vr": st.just("OB"), "BulkDataURI": st.just("fragments:4096,8")}),
)
items = st.dictionaries(st.sampled_from(["00100010", "7FE00010", "00091001", "00420011"]), elements)
data_sets = st.dictionaries(
    st.sampled_from(["00100010", "00400275", "7FE00010", "00091001", "00091002"]),
    elements | st.fixed_dictionaries({"vr": st.just("SQ"), "Value": st.lists(items, max_size=3)}),
)
BASE = b"https://pacs.example/dicom-web/studies/1.2/series/3/instances/4/bulkdata/"


def based(attributes: object, base: str) -> object:
    """Put a base in front of each BulkDataURI the slow way: on parsed JSON."""
    if isinstance(attributes, list):
        return [based(each, base) for each in cast("list[Any]", attributes)]
    if isinstance(attributes, dict):
        members = cast("dict[str, Any]", attributes)
        return {name: base + value if name == "BulkDataURI" else based(value, base) for name, value in members.items()}
    return attributes


@given(data_sets)
def test_what_is_kept_is_read_back(attributes: Attributes) -> None:
    kept = JsonText.of(attributes).to_bytes()
    assert JsonText(b"\x02" + kept, 1).attributes() == attributes


@given(data_sets)
def test_the_base_is_put_in_front_of_each_bulk_data_uri_and_nowhere_else(attributes: Attributes) -> None:
    text = JsonText(JsonText.of(attributes).to_bytes()).plain(BASE)
    assert json.loads(text) == based(attributes, BASE.decode())


@given(st.lists(data_sets, max_size=5), st.booleans())
def test_pieces_sent_as_they_lie_are_one_stream_of_the_same_text(several: list[Attributes], blocks: bool) -> None:
    stream, plain, sent = Deflated(), [b"["], b""
    stream.add([stored(b"[")])
    for index, attributes in enumerate(several):
        text = JsonText.of(attributes)
        if index:
            stream.add([stored(b",")])
            plain.append(b",")
        stream.add(text.deflated(BASE))
        plain.append(text.plain(BASE))
        if blocks:
            sent += stream.take()
    stream.add([stored(b"]")])
    sent += stream.take(last=True)
    assert zlib.decompress(sent) == b"".join(plain) + b"]"


def test_a_short_piece_lies_as_it_is() -> None:
    attributes: Attributes = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane" * 50}]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "bulk:4096,8"},
    }
    [_, last] = JsonText.of(attributes).deflated(b"")
    assert last == stored(b'bulk:4096,8"}}')
    assert JsonText.of(attributes).attributes() == attributes


def test_a_data_set_of_very_many_bulk_values_is_one_piece_and_reads_the_same() -> None:
    attributes: Attributes = {f"{tag:08X}": {"vr": "OB", "BulkDataURI": f"bulk:{tag},9"} for tag in range(500)}
    text = JsonText(JsonText.of(attributes).to_bytes())
    assert text.attributes() == attributes
    assert json.loads(text.plain(BASE)) == based(attributes, BASE.decode())
    stream = Deflated()
    stream.add(text.deflated(BASE))
    assert zlib.decompress(stream.take(last=True)) == text.plain(BASE)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_damage_is_corrupt_and_nothing_else(noise: bytes, place: int) -> None:
    attributes: Attributes = {"7FE00010": {"vr": "OW", "BulkDataURI": "bulk:1,2"}}
    kept = JsonText.of(attributes).to_bytes()
    damaged = kept[: place % len(kept)] + noise
    with suppress(Corrupt):
        assert isinstance(JsonText(damaged).attributes(), dict)


def test_a_decompression_bomb_in_the_index_inflates_to_what_it_was_announced_with() -> None:
    bomb = JsonText.of_text(b" " * (1 << 20)).to_bytes()
    lying = bomb[:2] + (100).to_bytes(4, "little") + bomb[6:]
    assert len(JsonText(lying).plain(b"")) == 100


def test_the_text_is_that_of_the_encoder() -> None:
    attributes: Attributes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Ä"}]}}
    assert JsonText.of(attributes).plain(b"") == msgspec.json.encode(attributes)


def test_no_block_is_longer_than_its_length_can_say() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it has no words
        stored(b"x" * 65_536)


@given(data_sets, st.integers(min_value=20, max_value=200), st.sampled_from([b"", BASE]), st.sampled_from([0, 70]))
def test_in_parts_it_is_the_same_text(attributes: Attributes, most: int, base: bytes, further: int) -> None:
    # 70 are more than leave gaps.
    attributes |= {f"0011{each:04X}": {"vr": "OB", "BulkDataURI": f"bulk:{each},2"} for each in range(further)}
    text = JsonText.of(attributes)
    parts = list(text.parts(base, most))
    assert b"".join(parts) == text.plain(base)
    assert max(map(len, parts)) <= max(most, len(text.plain(base)) if text.length <= most else 0) + 20 * len(BASE)
