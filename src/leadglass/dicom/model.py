"""The DICOM JSON Model (PS3.18 Annex F) as Leadglass passes attributes around.

Rule: between parts, attributes travel in this one form: a plain dict from the
eight hexadecimal digits of a tag, upper case, to its element.
"""

from typing import Any, NotRequired, TypedDict


class JsonElement(TypedDict):
    """One element: PS3.18 section F.2.2. At most one of the last three is there."""

    vr: str
    Value: NotRequired[list[Any]]
    BulkDataURI: NotRequired[str]
    InlineBinary: NotRequired[str]


Attributes = dict[str, JsonElement]
"""Attributes by tag, for instance ``{"00100020": {"vr": "LO", "Value": ["4711"]}}``."""


def bulk_uri(offset: int, length: int, *, is_encapsulated: bool = False) -> str:
    """Give the internal ``BulkDataURI`` of a value that was left where it is.

    Parameters
    ----------
    offset, length : int
        Where the value is in the (inflated) data set, in bytes; of encapsulated
        pixel data all items and the delimiter.
    is_encapsulated : bool
        Whether the value is items of fragments, of undefined length.
    """
    return f"{'fragments' if is_encapsulated else 'bulk'}:{offset},{length}"


def bulk_location(uri: str) -> tuple[int, int] | None:
    """Give offset and length of an internal ``BulkDataURI``; None when it is not one of ours."""
    kind, _, place = uri.partition(":")
    offset, _, length = place.partition(",")
    if kind not in ("bulk", "fragments") or not offset.isdecimal() or not length.isdecimal():
        return None
    return int(offset), int(length)


def is_encapsulated_bulk(uri: str) -> bool:
    """Say whether an internal ``BulkDataURI`` is of encapsulated pixel data."""
    return uri.startswith("fragments:")
