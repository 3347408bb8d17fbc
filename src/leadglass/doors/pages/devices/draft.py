"""Draft: a device as it is being typed, looked at step by step, with what is wrong beside where it was typed.

Rule: a rule is in ``identity/device.py`` alone; here is only where on the page it
belongs, and what a page says where the command line would name an option.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final, Self

from leadglass.dicom.uids import parse_ae_title
from leadglass.errors import BadInput
from leadglass.identity.device import MAX_REASON, BrokenRule, Device, Part, parse_network
from leadglass.policy.action import Action

STEPS: Final = ("What it is", "Name and address", "What it may do", "How it speaks", "Look it over")
"""The steps of the wizard, in their order."""

LONGEST: Final = 2_000
"""Characters of a field: 32 networks fit."""

LANE_DAYS: Final = 180
"""Days that a new plaintext lane is proposed to last: time to update or replace a device, not to forget it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device, and what one of it usually needs.

    Parameters
    ----------
    word : str
        Its word in forms.
    label, hint : str
        What a page says of it.
    allow : tuple of Action
        What it usually needs.
    """

    word: str
    label: str
    hint: str
    allow: tuple[Action, ...]


KINDS: Final = (
    Kind(
        "modality",
        "A modality that sends images",
        "CT, MR, ultrasound, X-ray, mammography, a scanner of documents: it sends what it makes.",
        (Action.ECHO, Action.STORE),
    ),
    Kind(
        "workstation",
        "A workstation that asks for images",
        "A reading station or a viewer: it searches the archive and has images sent to itself.",
        (Action.ECHO, Action.FIND, Action.MOVE, Action.GET),
    ),
    Kind(
        "archive",
        "Another archive or a router",
        "It sends images here and fetches them: an old PACS, a gateway, a backup.",
        (Action.ECHO, Action.STORE, Action.FIND, Action.MOVE, Action.GET),
    ),
)

TAKEN: Final = "This AE title is enrolled already. Change that device, or choose another AE title."


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed so far; nothing of it is trusted.

    Parameters
    ----------
    kind : str
        One of ``KINDS``, or empty.
    ae, addresses, host, port, until, why, bulk, bulk_until : str
        As typed.
    allow : tuple of str
        Words of actions.
    speaks : str
        ``tls`` or ``plaintext``.
    """

    kind: str = ""
    ae: str = ""
    addresses: str = ""
    host: str = ""
    port: str = ""
    allow: tuple[str, ...] = ()
    speaks: str = ""
    until: str = ""
    why: str = ""
    bulk: str = ""
    bulk_until: str = ""

    @classmethod
    def of_fields(cls, fields: Mapping[str, str]) -> Self:
        """Read what a form sent: its fields, and ``may_…`` for each box that is ticked."""

        def text(name: str) -> str:
            return fields.get(name, "").strip()[:LONGEST]

        # A step that shows the boxes says so; others carry what was ticked in one field.
        ticked = [action.value for action in Action if fields.get(f"may_{action.value}")]
        carried = [word for word in text("allow").split(",") if word]
        return cls(
            kind=text("kind"),
            ae=text("ae"),
            addresses=text("addresses"),
            host=text("host"),
            port=text("port"),
            allow=tuple(ticked if fields.get("boxes") else carried),
            speaks=text("speaks"),
            until=text("until"),
            why=text("why"),
            bulk=text("bulk"),
            bulk_until=text("bulk_until"),
        )

    @classmethod
    def of_device(cls, device: Device) -> Self:
        """Give an enrolled device, to be changed."""
        return cls(
            ae=device.ae_title,
            addresses="\n".join(_shortly(str(network)) for network in device.addresses),
            host=device.host,
            port=str(device.port) if device.port else "",
            allow=tuple(sorted(device.allow)),
            speaks="plaintext" if device.plaintext else "tls",
            until=device.until.isoformat() if device.until else "",
            why=device.why_plaintext,
            bulk=device.bulk,
            bulk_until=device.bulk_until.isoformat() if device.bulk_until else "",
        )

    def carried(self) -> dict[str, str]:
        """Give what a form carries on unseen."""
        return {
            "kind": self.kind,
            "ae": self.ae,
            "addresses": self.addresses,
            "host": self.host,
            "port": self.port,
            "allow": ",".join(self.allow),
            "speaks": self.speaks,
            "until": self.until,
            "why": self.why,
            "bulk": self.bulk,
            "bulk_until": self.bulk_until,
        }

    def with_usual_rights(self) -> Self:
        """Propose what a device of this kind usually needs, where nothing is ticked yet."""
        usual = next((kind.allow for kind in KINDS if kind.word == self.kind), ())
        return self if self.allow else replace(self, allow=tuple(action.value for action in usual))

    def with_usual_lane(self, today: date) -> Self:
        """Propose when a plaintext lane ends."""
        return self if self.until else replace(self, until=(today + timedelta(days=LANE_DAYS)).isoformat())

    @property
    def networks(self) -> list[str]:
        """The addresses, one by one."""
        return self.addresses.replace(",", " ").replace(";", " ").split()

    @property
    def is_plaintext(self) -> bool:
        """Whether it is to speak without TLS."""
        return self.speaks == "plaintext"

    def device(self, today: date) -> Device:
        """Make the device.

        Raises
        ------
        BadInput
        """
        device = Device.parse(
            self.ae,
            self.networks,
            self.allow or ["-"],
            plaintext=self.is_plaintext,
            until=self.until if self.is_plaintext else None,
            host=self.host,
            port=_port(self.port),
            bulk=self.bulk,
            bulk_until=self.bulk_until if self.bulk and self.bulk_until else None,
            why_plaintext=self.why if self.is_plaintext else "",
        )
        device.check_new(today)
        return device


@dataclass(slots=True)
class Wrong:
    """What is wrong, by the field it was typed in.

    Parameters
    ----------
    fields : dict of str to str
        Field and what is wrong with it.
    """

    fields: dict[str, str] = field(default_factory=dict[str, str])

    def __bool__(self) -> bool:
        return bool(self.fields)

    def say(self, name: str, text: str) -> None:
        """Say what is wrong with a field; the first that is said counts."""
        self.fields.setdefault(name, text)


def look_at(draft: Draft, steps: Iterable[int], today: date, *, is_taken: bool) -> Wrong:
    """Look at some steps of a draft.

    Parameters
    ----------
    draft : Draft
        What was typed.
    steps : iterable of int
        Which, from 1.
    today : date
        The day it is (UTC).
    is_taken : bool
        Whether another device has its AE title.
    """
    wrong = Wrong()
    looks = {1: _look_at_kind, 2: _look_at_place, 3: _look_at_rights, 4: _look_at_speaking}
    for step in steps:
        if step == 2 and is_taken:
            wrong.say("ae", TAKEN)
        if step in looks:
            looks[step](draft, wrong)
        if step == 4 and not wrong:
            _look_at_all(draft, today, wrong)
    return wrong


def _look_at_kind(draft: Draft, wrong: Wrong) -> None:
    if draft.kind not in {kind.word for kind in KINDS}:
        wrong.say("kind", "Choose what it is.")


def _look_at_place(draft: Draft, wrong: Wrong) -> None:
    if not draft.ae:
        wrong.say("ae", "Write the AE title that the device calls itself.")
    else:
        try:
            parse_ae_title(draft.ae)
        except BadInput as error:
            wrong.say("ae", error.message)
    if not draft.networks:
        wrong.say("addresses", "Write the IP address that the device has, such as 10.1.2.3.")
    for text in draft.networks:
        try:
            parse_network(text)
        except BadInput as error:
            wrong.say("addresses", error.message)
    if draft.host and not draft.port:
        wrong.say("port", "Write the port too; on most devices it is 104 or 11112.")
    if draft.port and not draft.host:
        wrong.say("host", "Write the host too, or clear the port.")
    if draft.port and not 1 <= _port(draft.port) <= 65_535:
        wrong.say("port", "A port is a number from 1 to 65535.")
    if wrong:
        return
    try:
        Device.parse(draft.ae, draft.networks, ["echo"], host=draft.host, port=_port(draft.port))
    except BrokenRule as error:
        wrong.say(error.part, error.message)
    except BadInput as error:
        wrong.say("addresses", error.message)


def _look_at_rights(draft: Draft, wrong: Wrong) -> None:
    if not draft.allow:
        wrong.say("allow", "Tick at least one: a device that may nothing needs no enrolment.")
    if draft.bulk_until and not draft.bulk:
        wrong.say("bulk", "Write why, or clear the day.")
    if len(draft.bulk) > MAX_REASON:
        wrong.say("bulk", f"Write at most {MAX_REASON} characters.")
    if Action.MOVE.value in draft.allow and not draft.host and draft.kind == "workstation":
        wrong.say(
            "allow",
            "To have images sent to itself it needs a host and a port where it takes them. Go back one step and fill "
            "them in, or untick “Have images sent to a device”.",
        )


def _look_at_speaking(draft: Draft, wrong: Wrong) -> None:
    if draft.speaks not in {"tls", "plaintext"}:
        wrong.say("speaks", "Choose how it speaks.")
    if draft.is_plaintext:
        if not draft.until:
            wrong.say("until", "Write the last day of the lane: by then the device speaks TLS, or is replaced.")
        if not draft.why:
            wrong.say("why", "Write why it cannot speak TLS, for who looks at it next year.")


def _look_at_all(draft: Draft, today: date, wrong: Wrong) -> None:
    try:
        draft.device(today)
    except BrokenRule as error:
        wrong.say(error.part if error.part is not Part.ALLOW else "allow", error.message)
    except BadInput as error:
        wrong.say("speaks", error.message)


def _port(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else (-1 if text else 0)


def _shortly(network: str) -> str:
    return network.removesuffix("/32").removesuffix("/128") if network.endswith(("/32", "/128")) else network
