"""Views: how a View changes what leaves."""

from typing import cast

from leadglass.dicom.matching import Key, Query, SequenceKey, Universal
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.tags import key
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
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
    masked = {key(tag) for tag in view.masked}
    return _apply(masked, attributes)


def strictest(caller: Caller, action: Action) -> View:
    """Give the view that masks whatever any of the caller's grants for an action masks."""
    view = View.full()
    for grant in caller.grants:
        if action in grant.actions:
            view &= grant.view
    return view


def asks_about(query: Query, view: View) -> bool:
    """Say whether a query looks at the value of an attribute that the view masks, in sequences too."""
    masked = {key(tag) for tag in view.masked}
    combined = {tag for pair in query.combined for tag in (pair.date_tag, pair.time_tag)}
    return not masked.isdisjoint(combined) or _asks_about(query.keys, masked)


def _asks_about(keys: dict[str, Key], masked: set[str]) -> bool:
    for tag, asked in keys.items():
        if isinstance(asked, SequenceKey):
            if _asks_about(asked.keys, masked) or (tag in masked and _matches_something(asked.keys)):
                return True
        elif tag in masked and not isinstance(asked, Universal):
            return True
    return False


def _matches_something(keys: dict[str, Key]) -> bool:
    """Say whether inner keys narrow at all."""
    return any(
        _matches_something(asked.keys) if isinstance(asked, SequenceKey) else not isinstance(asked, Universal)
        for asked in keys.values()
    )


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
