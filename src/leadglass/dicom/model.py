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
