"""What the pages of sharing work with."""

from dataclasses import dataclass

from leadglass.doors.threads import Threads
from leadglass.identity.sessions import Sessions
from leadglass.identity.share_visits import Visits
from leadglass.identity.shares import Shares


@dataclass(frozen=True, slots=True)
class SharingDesk:
    """What the pages of sharing work with, made by the composition root.

    Parameters
    ----------
    shares : Shares
        The links, for those who make them.
    visits : Visits
        The same, for those who open them.
    sessions : Sessions
        Who is signed in: a link is not opened in such a browser.
    threads : Threads
        Where links are opened: who tries many takes no thread from who is in.
    practice : str
        What recipients are told of who shares with them.
    """

    shares: Shares
    visits: Visits
    sessions: Sessions
    threads: Threads
    practice: str
