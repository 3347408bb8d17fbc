"""Views: how a View changes what leaves."""

from typing import cast

from leadglass.dicom.model import Attributes, JsonElement
from leadglass.policy.view import View


def apply(view: View, attributes: Attributes) -> Attributes:
    """Give the attributes as the view lets them leave: masked ones empty, in sequences too.

    Parameters
    ----------
    view : View
        What may leave.
    attributes : Attributes
        Not changed.
    """
    if view.is_full:
        return attributes
    masked = {f"{tag:08X}" for tag in view.masked}
    return _apply(masked, attributes)


def _apply(masked: set[str], attributes: Attributes) -> Attributes:
    seen: Attributes = {}
    for tag, element in attributes.items():
        if tag in masked:
            seen[tag] = {"vr": element["vr"]}
        elif element["vr"] == "SQ" and "Value" in element:
            items = cast("list[Attributes]", element["Value"])
            seen[tag] = JsonElement(vr="SQ", Value=[_apply(masked, item) for item in items])
        else:
            seen[tag] = element
    return seen
