"""Views: how a View changes what leaves.

Rule: under a view that masks, what ``dicom.masking`` drops does not leave either.
"""

from functools import lru_cache

from leadglass.dicom.masking import is_dropped, mask
from leadglass.dicom.matching import Key, Query, SequenceKey, Universal
from leadglass.dicom.model import Attributes
from leadglass.dicom.tags import key
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.view import View


def apply(view: View, attributes: Attributes) -> Attributes:
    """Give the attributes as the view lets them leave: masked ones empty, in sequences too, private ones not at all.

    Parameters
    ----------
    view : View
        What may leave.
    attributes : Attributes
        Not changed.
    """
    if view.is_full:
        return attributes
    return mask(attributes, keys_of(view))


def keys_of(view: View) -> frozenset[str]:
    """Give what a view masks, as the JSON model names it."""
    return _keys(view.masked)


@lru_cache(maxsize=64)
def _keys(masked: frozenset[int]) -> frozenset[str]:
    return frozenset(key(tag) for tag in masked)


def strictest(caller: Caller, action: Action) -> View:
    """Give the view that masks whatever any of the caller's grants for an action masks."""
    view = View.full()
    for grant in caller.grants:
        if action in grant.actions:
            view &= grant.view
    return view


def asks_about(query: Query, view: View) -> bool:
    """Say whether a query looks at the value of what does not leave under the view: masked, or dropped with a mask."""
    masked = keys_of(view)
    compared = {tag for pair in query.combined for tag in (pair.date_tag, pair.time_tag)}
    compared |= {key(tag) for words in query.words for tag in words.tags}
    return not masked.isdisjoint(compared) or _asks_about(query.keys, masked)


def _asks_about(keys: dict[str, Key], masked: frozenset[str]) -> bool:
    for tag, asked in keys.items():
        if isinstance(asked, SequenceKey):
            if _asks_about(asked.keys, masked) or (_is_kept(tag, masked) and _matches_something(asked.keys)):
                return True
        elif _is_kept(tag, masked) and not isinstance(asked, Universal):
            return True
    return False


def _is_kept(tag: str, masked: frozenset[str]) -> bool:
    """Say whether an attribute does not leave: the matches would tell what it holds."""
    return tag in masked or is_dropped(tag)


def _matches_something(keys: dict[str, Key]) -> bool:
    """Say whether inner keys narrow at all."""
    return any(
        _matches_something(asked.keys) if isinstance(asked, SequenceKey) else not isinstance(asked, Universal)
        for asked in keys.values()
    )
