"""Words for the log: what each record says, as a sentence that begins with who did it.

Rule: nothing is left out that the record says: what has no words here stands in
its own, and all of it is shown on demand.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from leadglass.audit.event import Event, Outcome
from leadglass.audit.record import escape

_DOES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        # action: what is permitted ("may …" is not said: the record comes before the act), and what it is called
        "find": ("searched the archive", "searching"),
        "worklist": ("asked for the worklist", "asking for the worklist"),
        "get": ("opened a study", "opening a study"),
        "look": ("looked at pictures of a study", "looking at a study"),
        "move": ("had a study sent", "having a study sent"),
        "export": ("took a study out", "taking a study out"),
        "store": ("sent images in", "sending images in"),
        "submit": ("handed images in", "handing images in"),
        "delete": ("deleted a study", "deleting a study"),
        "commit": ("asked that images are kept safe", "asking that images are kept safe"),
        "resolve": ("decided over an image in quarantine", "deciding over an image in quarantine"),
        "verify": ("had everything that is stored verified", "verifying what is stored"),
        "audit": ("looked into the audit log", "looking into the audit log"),
        "manage": ("changed settings", "changing settings"),
        "account": ("changed their own account", "changing their own account"),
        "signin": ("signed in", "signing in"),
        "signout": ("signed out", "signing out"),
        "break-glass": ("opened studies in an emergency", "opening studies in an emergency"),
        "associate": ("connected as a device", "connecting as a device"),
        "connect": ("connected", "connecting"),
        "identify": ("asked without saying who", "asking without saying who"),
        "echo": ("asked whether the archive is there", "asking whether the archive is there"),
        "start": ("started the archive", "starting the archive"),
        "stop": ("stopped the archive", "stopping the archive"),
        "init": ("made the archive", "making the archive"),
        "key": ("changed what opens the archive", "changing what opens the archive"),
        "share": ("made or ended a link", "making or ending a link"),
        "collect": ("handed records to the collector", "handing records to the collector"),
        "webhook": ("told a receiver", "telling a receiver"),
        "exposure": ("looked how exposed the archive is", "looking how exposed the archive is"),
    }
)

_AUDIT_ASKED: Final = MappingProxyType(
    {
        "show": "looked at records of the audit log",
        "search": "searched the audit log",
        "verify": "had the audit log verified",
        "export": "took records of the audit log out",
        "collector": "asked how far the collector has the audit log",
        "who saw a patient": "asked who saw a patient",
    }
)

_CHANGES: Final = MappingProxyType(
    {
        "add": "made the account …",
        "role": "changed what the account … may do",
        "lock": "locked the account …",
        "unlock": "unlocked the account …",
        "remove": "removed …",
        "reset": "took away what proved the account …",
        "password": "set a password for the account …",
        "end session": "ended a session of the account …",
        "end sessions": "ended the sessions of the account …",
        "set-up link": "made a set-up link for the account …",
        "sign-in link": "made a sign-in link for the account …",
        "create token": "made the token …",
        "revoke token": "revoked the token …",
        "enrol": "made a certificate for the device …",
        "revoke": "revoked a certificate of the device …",
        "test": "tested the device …",
        "change": "changed the device …",
        "release brakes": "lifted the brakes of …",
    }
)
"""What an administrator changed; … is of whom."""

_SEEN: Final = MappingProxyType(
    {
        "accounts": "the list of people",
        "account": "an account",
        "form": "a form to add a person",
        "tokens of people": "tokens of people",
        "break-glass": "the emergencies that wait for a review",
        "share": "everybody's links",
    }
)
"""What an administrator looked at."""

_SHARES: Final = MappingProxyType({"create": "made the link", "revoke": "ended the link"})

_KINDS: Final = MappingProxyType(
    {
        "person": "",
        "device": "Device ",
        "token": "Program ",
        "client": "Program ",
        "cli": "Operator ",
        "link": "Link ",
        "webhook": "Receiver ",
        "provider": "Provider ",
    }
)

ACTIONS: Final[Mapping[str, str]] = MappingProxyType({action: _DOES[action][1] for action in sorted(_DOES)})
"""Actions that are offered to choose from, and what each is called."""

DOORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dimse": "DICOM: devices",
        "dicomweb": "DICOMweb: programs and the viewer",
        "pages": "these pages",
        "web": "signing in, links and tokens",
        "webhook": "messages to receivers",
        "cli": "the command line on the server",
        "system": "the archive by itself",
    }
)
"""Doors by what they are called on record, and what they are."""


def who(event: Event) -> str:
    """Say who it was: ``jane``, ``Device CT1``, ``Somebody``."""
    if not event.caller:
        return "The archive" if event.peer == "local" else "Somebody"
    kind, _, name = event.caller.partition(":")
    if kind == "token" and "/" in name:
        owner, _, label = name.partition("/")
        return f"A script of {escape(owner)} ({escape(label)})"
    return f"{_KINDS.get(kind, f'{escape(kind)} ')}{escape(name)}"


def sentence(event: Event) -> str:
    """Say what a record is about, to follow who did it."""
    does, doing = _DOES.get(event.action, (f"did “{escape(event.action)}”", f"“{escape(event.action)}”"))
    match event.outcome:
        case Outcome.PERMITTED:
            return _permitted(event, does)
        case Outcome.DONE:
            return _done(event, does, doing)
        case Outcome.REFUSED:
            return f"was refused {doing}"
        case Outcome.FAILED:
            return f"failed at {doing}"
        case Outcome.ALERT:
            # It is an alert because somebody has to look at it, not because it failed.
            return does if event.action == "break-glass" and event.caller else doing


def _permitted(event: Event, does: str) -> str:
    if event.action == "audit":
        return _AUDIT_ASKED.get(str(event.detail.get("asked", "")), does)
    if event.action == "manage" and event.detail.get("change"):
        return _changed(event)
    if event.action == "manage" and (event.detail.get("list") or event.detail.get("show")):
        seen = str(event.detail.get("list") or event.detail.get("show"))
        return f"looked at {_SEEN[seen]}" if seen in _SEEN else f"looked at: {escape(seen)}"
    if event.action == "signin" and event.detail.get("evidence"):
        return f"signed in with {escape(str(event.detail['evidence']))}"
    if event.action == "share" and event.detail.get("change") in _SHARES:
        return f"{_SHARES[str(event.detail['change'])]} {escape(str(event.detail.get('link', '')))}".rstrip()
    return does


def _changed(event: Event) -> str:
    """Say what an administrator changed, of whom or what."""
    change = str(event.detail["change"])
    names = (event.detail.get(key) for key in ("account", "token", "device", "about", "id"))
    about = escape(str(next((name for name in names if name), "")))
    if change == "add" and event.detail.get("device"):
        return f"enrolled the device {about}"
    if change in _CHANGES:
        return " ".join(_CHANGES[change].replace("…", about).split())
    return f"changed something: {escape(change)}{f' ({about})' if about else ''}"


def _done(event: Event, does: str, doing: str) -> str:
    count = event.detail.get("instances")
    if event.action == "break-glass" and "review" in event.detail:
        return f"reviewed emergency {escape(str(event.detail['review']))}"
    if event.action == "audit" and event.detail.get("asked") == "verify":
        return "verified the audit log: it is whole"
    if isinstance(count, int):
        images = "1 image" if count == 1 else f"{count:,} images"
        return f"finished {doing}: {images}"
    if event.reason == "closed":
        return f"finished {doing}"
    return does
