"""Devices in words: what one may do, how it speaks, and how it stands today.

Rule: a page says what a clinic's technician would say, and keeps the words of the
Standard beside it for who needs them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, unquote

from leadglass.doors.cli.reach import sentence_on, turned_away
from leadglass.identity.contacts import Contact
from leadglass.identity.device import Device
from leadglass.identity.peers import IpNetwork
from leadglass.policy.action import Action

SOON: Final = timedelta(days=30)
"""How long before its end a certificate or a lane is shown as ending."""

RIGHTS: Final = (
    (Action.ECHO, "Test the connection", "C-ECHO; opens nothing"),
    (Action.STORE, "Send images here", "C-STORE"),
    (Action.COMMIT, "Ask for proof that its images are safe", "storage commitment; it may then delete its own"),
    (Action.FIND, "Search the whole archive", "C-FIND; it sees patients' names"),
    (Action.MOVE, "Have images sent to a device", "C-MOVE; to itself or to others that are enrolled"),
    (Action.GET, "Fetch images", "C-GET"),
)
"""Each action, what it means, and its name in the Standard. The worklist is not served yet."""

_SHORT: Final = {
    Action.ECHO: "tests (C-ECHO)",
    Action.STORE: "sends images",
    Action.COMMIT: "storage commitment",
    Action.FIND: "searches",
    Action.MOVE: "has images sent (C-MOVE)",
    Action.GET: "fetches images (C-GET)",
    Action.WORKLIST: "worklist",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """How something stands, in a word or two.

    Parameters
    ----------
    text : str
        What is said.
    kind : str
        ``good``, ``warn``, ``bad`` or nothing.
    """

    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A device as a list shows it.

    Parameters
    ----------
    device : Device
        Which.
    path : str
        Its page.
    may : str
        What it may do, in words.
    marks : tuple of Mark
        How it speaks, and what is wrong.
    contact : Contact
        When it was last heard of.
    ends : datetime, optional
        When the first of its certificate and its lane ends.
    """

    device: Device
    path: str
    may: str
    marks: tuple[Mark, ...]
    contact: Contact
    ends: datetime | None

    @property
    def is_bad(self) -> bool:
        """Whether one of its marks is red."""
        return any(mark.kind == "bad" for mark in self.marks)


def shown(device: Device, contact: Contact | None, now: datetime, allowed: Iterable[IpNetwork]) -> Shown:
    """Give a device as a list shows it.

    Parameters
    ----------
    device : Device
        Which.
    contact : Contact or None
        When it was last heard of; None: never.
    now : datetime
        The time (UTC).
    allowed : iterable of networks
        What the operator listed beyond the local networks.
    """
    lane = (
        datetime(device.until.year, device.until.month, device.until.day, tzinfo=now.tzinfo) if device.until else None
    )
    ends = [moment for moment in (device.certificate_until, lane) if moment is not None]
    return Shown(
        device,
        path_of(device.ae_title),
        in_words(device.allow),
        marks_of(device, now, allowed),
        contact or Contact(device.ae_title),
        min(ends, default=None),
    )


def in_words(allow: Iterable[Action]) -> str:
    """Say what a device may do."""
    granted = set(allow)
    return ", ".join(text for action, text in _SHORT.items() if action in granted)


def marks_of(device: Device, now: datetime, allowed: Iterable[IpNetwork]) -> tuple[Mark, ...]:
    """Say how a device speaks, and what is wrong with it."""
    marks: list[Mark] = []
    until = device.certificate_until
    if until is not None:
        if until <= now:
            marks.append(Mark(f"Certificate ended {until:%Y-%m-%d}", "bad"))
        elif until - now < SOON:
            marks.append(Mark(f"TLS, certificate ends in {_days((until - now).days)}", "warn"))
        else:
            marks.append(Mark(f"TLS until {until:%Y-%m-%d}", "good"))
    elif not device.plaintext:
        marks.append(Mark("No certificate yet", "warn"))
    if device.plaintext and device.until is not None:
        left = (device.until - now.date()).days
        if left < 0:
            marks.append(Mark(f"Plaintext lane ended {device.until}", "bad"))
        else:
            marks.append(Mark(f"Plaintext until {device.until}: {_days(left)} left", "bad"))
    if device.bulk:
        ended = "" if device.is_bulk(now.date()) else " (ended)"
        marks.append(Mark(f"Bulk{ended}", "" if ended else "warn"))
    if turned_away(device, allowed):
        marks.append(Mark("Address is turned away", "warn"))
    return tuple(marks)


def reach_of(device: Device, allowed: Iterable[IpNetwork]) -> str:
    """Say that peers from where it is are turned away; empty when they are not."""
    strange = turned_away(device, allowed)
    return sentence_on(strange) if strange else ""


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


# --- addresses of pages -------------------------------------------------------------

_RESERVED: Final = frozenset({"new", "ca.pem"})


def path_of(ae_title: str) -> str:
    """Give the path of a device's page; an AE title may hold what a path may not."""
    word = "".join(
        each if each.isascii() and (each.isalnum() or each in "_-") else f"~{ord(each):02X}" for each in ae_title
    )
    if word in _RESERVED:
        word = f"~{ord(word[0]):02X}{word[1:]}"
    return f"/devices/{quote(word)}"


def ae_title_of(word: str) -> str:
    """Give the AE title that a segment of a path stands for; what stands for none is nobody's."""
    return unquote(word.replace("~", "%"), errors="replace")[:64] if "%" not in word else ""
