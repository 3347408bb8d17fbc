"""Query parameters of resources that have a few of their own.

Rule: one that is unknown or said twice is refused by its name; its value is not
repeated.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from leadglass.errors import BadInput

_LONGEST_SHOWN: Final = 32
"""Characters of an unknown name that is repeated; what is longer, or holds more than letters and digits, may be
anything."""


def once(given: Iterable[tuple[str, str]], known: Collection[str]) -> Mapping[str, str]:
    """Give the parameters of a query, each of which is known and there once.

    Parameters
    ----------
    given : iterable of tuple of str
        Names and values, decoded, in order.
    known : collection of str
        Names, in the order in which a message lists them. ``accept`` goes without saying.

    Raises
    ------
    BadInput
        Naming the parameter.
    """
    said: dict[str, str] = {}
    for name, value in given:
        if name == "accept" and name not in known:
            continue  # read by accept.accept_of, and there may be several
        if name not in known:
            shown = name if name.isascii() and name.isalnum() and len(name) <= _LONGEST_SHOWN else "A parameter"
            raise BadInput(f"{shown}: not a query parameter of this resource. Known: {', '.join(known)}")
        if name in said:
            raise BadInput(f"{name}: given more than once.")
        said[name] = value
    return said
