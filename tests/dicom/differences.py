"""Where our metadata and pydicom's JSON Model of a data set differ, but for differences that have a reason."""

import base64
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydicom.dataset import Dataset


def pydicom_json(data_set: Dataset) -> dict[str, Any]:
    """Give pydicom's JSON Model, with every value in it."""
    return json.loads(
        data_set.to_json(bulk_data_threshold=1 << 40, bulk_data_element_handler=None, suppress_invalid_tags=True)
    )


def _plain_text(value: object) -> object:
    """Leave out what does not count: padding, and how a number is spelled."""
    if isinstance(value, str):
        text = value.strip(" \0").replace("\0", "")
        try:
            return float(text)
        except ValueError:
            return text
    if isinstance(value, float | int):
        return float(value)
    return value


def differences(
    ours: Mapping[str, Any], theirs: dict[str, Any], bulk: Callable[[str], bytes | None] = lambda _uri: None
) -> list[str]:
    """Give what differs.

    Parameters
    ----------
    ours, theirs : dict
        A data set in the DICOM JSON Model, by us and by pydicom.
    bulk : callable
        Gives the value behind a BulkDataURI of ours; None when it is not to be compared.
    """
    return _Differences(ours, theirs, bulk).found


class _Differences:
    def __init__(self, ours: Mapping[str, Any], theirs: dict[str, Any], bulk: Callable[[str], bytes | None]) -> None:
        self._bulk = bulk
        self.found: list[str] = []
        self._data_set("", ours, theirs)

    def _data_set(self, path: str, ours: Mapping[str, Any], theirs: dict[str, Any]) -> None:
        for tag in sorted(ours.keys() | theirs.keys()):
            mine: dict[str, Any] | None = cast("dict[str, Any] | None", ours.get(tag))
            other = theirs.get(tag)
            if tag.endswith("0000") or tag == "FFFCFFFC" or tag.startswith("0002"):
                continue  # group lengths
            if other is None:
                continue  # pydicom leaves out what it holds to be invalid; we keep it
            if mine is None:
                self.found.append(f"{path}{tag} is missing")
            elif mine["vr"] == "SQ" and other["vr"] == "SQ":
                items = mine.get("Value", [])
                others = other.get("Value", [])
                if len(items) != len(others):
                    self.found.append(f"{path}{tag} items")
                    continue
                for index, (item, their) in enumerate(zip(items, others, strict=True)):
                    self._data_set(f"{path}{tag}.{index}.", item, their)
            elif not self._is_same(tag, mine, other):
                self.found.append(f"{path}{tag} {mine} {other}")

    def _is_same(self, tag: str, mine: dict[str, Any], other: dict[str, Any]) -> bool:
        if int(tag, 16) & 0x10000 and mine["vr"] != other["vr"]:
            return True  # private elements of Implicit VR: pydicom has a dictionary of some vendors', we keep UN
        if mine["vr"] != other["vr"]:
            return {mine["vr"], other["vr"]} <= {
                "OB",
                "OW",
                "US",
                "SS",
                "UN",
                "OB or OW",
            }  # Implicit VR leaves a choice
        if "InlineBinary" in other or "BulkDataURI" in mine or "InlineBinary" in mine:
            return self._is_same_binary(mine, other)
        values = [_plain_text(value) for value in mine.get("Value", [])]
        others = [_plain_text(value) for value in other.get("Value", [])]
        if mine["vr"] == "PN":
            values = [_name(value) for value in values]
            others = [_name(value) for value in others]
        values, others = ([value or (value if value == 0 else None) for value in each] for each in (values, others))
        while values and values[-1] is None:
            values.pop()
        while others and others[-1] is None:
            others.pop()
        return values == others or (
            len(values) == len(others)
            and all(
                a == b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-6))
                for a, b in zip(values, others, strict=True)
            )
        )

    def _is_same_binary(self, mine: dict[str, Any], other: dict[str, Any]) -> bool:
        uri = mine.get("BulkDataURI")
        if "Value" in other:
            return uri is not None  # a long text or number list, left where it is
        raw = base64.b64decode(mine.get("InlineBinary", "")) if uri is None else self._bulk(uri)
        return raw is None or raw == base64.b64decode(other.get("InlineBinary", "")) or mine["vr"] == "OW"


def _name(value: object) -> object:
    if not isinstance(value, dict):
        return value
    named = cast("dict[str, str]", value)
    return {key: text.strip(" \0") for key, text in named.items() if text.strip(" \0")}


JSON_DIFFERS = {
    "charset/chrGB2312.dcm": "pydicom does not know ISO 2022 IR 58",
    "synthetic/charset/gb2312.dcm": "pydicom does not know ISO 2022 IR 58",
    "synthetic/charset/latin9.dcm": "pydicom does not know ISO_IR 203",
}
"""Files of the corpus of which pydicom's model is wrong, and why."""
