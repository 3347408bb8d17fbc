"""Where links lead, and how they are written.

Rule: the secret is in the URL's fragment, so that no log, proxy or Referer sees it;
it arrives in the body of a POST.
"""

from typing import Final

from leadglass.identity.onetime import Link, Purpose
from leadglass.identity.shares import CreatedShare

PATHS: Final = {Purpose.SET_UP: "/set-up", Purpose.SIGN_IN: "/sign-in/link"}
"""Where each link leads."""


def origin(address: str, host: str) -> str:
    """Give what paths are put behind for somebody else.

    Parameters
    ----------
    address : str
        The one that people use, as the operator wrote it; empty: none was written.
    host : str
        Where the archive was asked, or listens.
    """
    return address.rstrip("/") or f"https://{host}"


def path_of(link: Link) -> str:
    """Give path and fragment, to be put behind ``https://HOST:PORT``."""
    return f"{PATHS[link.purpose]}#{link.secret}"


def path_of_share(created: CreatedShare) -> str:
    """Give the same of a share link."""
    return f"/s/{created.share.id}#{created.secret}"
