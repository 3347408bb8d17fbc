"""The list of devices, and the page of one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.doors.listed import device_as_json
from leadglass.doors.pages.devices.connecting import Connecting, connecting
from leadglass.doors.pages.devices.desk import DOOR, DevicesDesk
from leadglass.doors.pages.devices.words import Shown, ae_title_of, reach_of, shown
from leadglass.doors.pages.page import page
from leadglass.doors.web.forms import wants_json
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import NotHere
from leadglass.identity.contacts import Contact
from leadglass.identity.device import Device
from leadglass.policy.caller import Caller

PATH: Final = "/devices"

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_NO_END: Final = datetime.max.replace(tzinfo=UTC)

_ORDERS: Final[dict[str, Callable[[Shown], tuple[object, ...]]]] = {
    "ae": lambda each: (each.device.ae_title,),
    "address": lambda each: (each.device.addresses[0].version, int(each.device.addresses[0].network_address)),
    "contact": lambda each: (each.contact.latest or _NEVER,),
    "ends": lambda each: (each.ends or _NO_END,),
}


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    if services.pages is None:
        return []
    pages = _Listing(services.pages.devices_desk)
    return [
        Route(PATH, ("GET",), pages.list, summary="The enrolled devices."),
        Route(f"{PATH}/ca.pem", ("GET",), pages.authority, summary="The authority that devices trust."),
        Route(f"{PATH}/{{device}}", ("GET",), pages.one, summary="One device."),
        Route(f"{PATH}/{{device}}/settings", ("GET",), pages.settings, summary="What is typed into it."),
    ]


class _Listing:
    def __init__(self, desk: DevicesDesk) -> None:
        self._desk = desk

    async def list(self, asked: Asked) -> Response:
        listed = await self._desk.threads.run(self._listed, asked.caller)
        if wants_json(asked.request):
            return JSONResponse([as_json(each) for each in listed])
        order = asked.request.query_params.get("sort", "ae")
        order = order if order in _ORDERS else "ae"
        falling = asked.request.query_params.get("down") == "1"
        return page(
            asked.request,
            "devices/list.html",
            caller=asked.caller,
            listed=sorted(listed, key=_ORDERS[order], reverse=falling),
            order=order,
            falling=falling,
            lanes=sum(each.device.plaintext for each in listed),
            now=self._desk.devices.now,
            did=asked.request.query_params.get("done", ""),
        )

    def _listed(self, caller: Caller) -> "list[Shown]":
        desk = self._desk
        desk.devices.look(caller, door=DOOR)
        devices = desk.devices.list()
        contacts = desk.contacts.of(device.ae_title for device in devices)
        now = desk.devices.now
        return [shown(each, contacts.get(each.ae_title), now, desk.allowed_networks) for each in devices]

    async def one(self, asked: Asked) -> Response:
        each, place = await self._desk.threads.run(look_up, self._desk, asked)
        if wants_json(asked.request):
            return JSONResponse(as_json(each))
        return one_page(self._desk, asked, each, place)

    async def settings(self, asked: Asked) -> Response:
        each, place = await self._desk.threads.run(look_up, self._desk, asked)
        if wants_json(asked.request):
            return JSONResponse(
                {"called": place.called, "calling": place.calling, "hosts": place.hosts, "port": place.port,
                 "tls": place.secured}
            )  # fmt: skip
        return page(asked.request, "devices/settings.html", caller=asked.caller, each=each, place=place)

    async def authority(self, asked: Asked) -> Response:
        await self._desk.threads.run(self._desk.devices.look, asked.caller, door=DOOR)
        fields = {"Content-Disposition": 'attachment; filename="ca.pem"'}
        return Response(self._desk.devices.authority.pem, headers=fields, media_type="application/x-pem-file")


def device_of(desk: DevicesDesk, asked: Asked) -> Device:
    """Give the device that a path names, to who may know of it.

    Raises
    ------
    Denied, NotHere
    """
    desk.devices.look(asked.caller, door=DOOR)
    device = desk.devices.find(ae_title_of(asked.request.path_params["device"]))
    if device is None:
        raise NotHere("No device is enrolled here under that AE title.")
    return device


def look_up(desk: DevicesDesk, asked: Asked) -> tuple[Shown, Connecting]:
    """Give the device that a path names, and what is typed into it; raises as ``device_of``."""
    device = device_of(desk, asked)
    contact = desk.contacts.of([device.ae_title]).get(device.ae_title)
    return shown(device, contact, desk.devices.now, desk.allowed_networks), connecting(desk, device)


def one_page(
    desk: DevicesDesk, asked: Asked, each: Shown, place: Connecting, *, status: int = 200,
    wrong: dict[str, str] | None = None, fields: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    """Give the page of one device."""
    device, today = each.device, desk.devices.today
    return page(
        asked.request,
        "devices/one.html",
        caller=asked.caller,
        status=status,
        each=each,
        device=device,
        place=place,
        reach=reach_of(device, desk.allowed_networks),
        today=today,
        now=desk.devices.now,
        lane_open=device.speaks_plaintext(today),
        days_left=(device.until - today).days if device.until else 0,
        is_long=device.is_long(today),
        bulk_open=device.is_bulk(today),
        said=_DONE.get(asked.request.query_params.get("done", ""), ""),
        wrong=wrong or {},
        fields=fields or {},
    )


_DONE: Final = {
    "enrolled": "The device is enrolled.",
    "changed": "The device is changed. Open associations that do not fit any more end at once.",
    "revoked": "The certificate is revoked. It opens nothing any more.",
    "extended": "The plaintext lane has a new last day.",
    "closed": "The plaintext lane is closed.",
}
"""What a page says after a form sent the browser on; an address chooses among these, and brings no text."""


def as_json(each: Shown) -> dict[str, object]:
    """Give a device as a program wants it."""
    return device_as_json(each.device) | {
        "marks": [{"text": mark.text, "kind": mark.kind} for mark in each.marks],
        "last_contact": _contact(each.contact),
    }


def _contact(contact: Contact) -> dict[str, object] | None:
    if contact.latest is None:
        return None
    return {
        "at": contact.at.isoformat() if contact.at else None,
        "from": contact.address or None,
        "tls": contact.secured if contact.at else None,
        "did": contact.did or None,
        "refused_at": contact.refused_at.isoformat() if contact.refused_at else None,
        "refused_from": contact.refused_address or None,
        "why": contact.why or None,
    }
