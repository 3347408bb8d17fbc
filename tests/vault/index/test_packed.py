import zlib
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom.model import Attributes
from leadglass.errors import Corrupt
from leadglass.vault.index.packed import json_text, pack, unpack

SHORT: Attributes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}}
LONG: Attributes = {
    "00104000": {"vr": "LT", "Value": ["so long " * 100]},
    "7FE00010": {"vr": "OW", "BulkDataURI": "bulk:1024,2048"},
}


@pytest.mark.parametrize("attributes", [SHORT, LONG, {}])
def test_what_is_packed_is_unpacked(attributes: Attributes) -> None:
    assert unpack(pack(attributes)) == attributes
    assert json_text(pack(attributes)).attributes() == attributes


@pytest.mark.parametrize("attributes", [SHORT, LONG])
def test_what_an_older_leadglass_packed_is_read(attributes: Attributes) -> None:
    older = b"\x01" + zlib.compress(msgspec.json.encode(attributes), 1)
    assert unpack(older) == attributes
    assert json_text(older).plain(b"") == json_text(pack(attributes)).plain(b"")


@given(st.binary(max_size=80))
def test_damage_is_corrupt_and_nothing_else(noise: bytes) -> None:
    with suppress(Corrupt):
        unpack(noise)
    with suppress(Corrupt):
        json_text(noise).attributes()
