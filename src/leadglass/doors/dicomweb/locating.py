"""Locating: what every request for instances begins with.

Rule: what is not here and what is not the caller's get one answer; a 403 would tell
that there is something.
"""

from collections.abc import Iterable
from http import HTTPStatus

from leadglass.archive.archive import Archive
from leadglass.archive.retrieving import Retrieval
from leadglass.doors.dicomweb.paths import Target
from leadglass.doors.web.problem import HttpFault
from leadglass.errors import NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.permit import looking


def locate(
    archive: Archive, caller: Caller, target: Target, *, is_whole: bool = False, drawn: bool = False
) -> Retrieval:
    """Locate what a path names (blocking).

    Parameters
    ----------
    archive : Archive
        Where.
    caller : Caller
        Who asks.
    target : Target
        For what.
    is_whole : bool
        Whether whole instances are given, or parts of them.
    drawn : bool
        Whether nothing is given of them but pictures: then who may only look is permitted too.

    Raises
    ------
    NotHere
        When there is nothing of it that the caller may see.
    Denied, Throttled
        As ``Archive.retrieve``.
    """
    action = looking(caller) if drawn else Action.GET
    retrieval = archive.retrieve(caller, action, target.level, target.selection, is_whole=is_whole)
    if not retrieval.records:
        raise NotHere("There is nothing of that name here.")
    return retrieval


def require_frames(numbers: Iterable[int], count: int) -> None:
    """Refuse numbers of frames, counted from 1, that an instance does not have.

    Raises
    ------
    HttpFault
        404, naming the first.
    """
    missing = next((number for number in numbers if number > count), None)
    if missing is not None:
        raise HttpFault(HTTPStatus.NOT_FOUND, f"There is no frame {missing}; the instance has {count}.")
