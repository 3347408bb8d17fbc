"""Changing a device: what it may and where it is, its lane, its certificate's end, and its own."""

from datetime import date
from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.doors.pages.devices.desk import DOOR, DevicesDesk
from leadglass.doors.pages.devices.draft import Draft, Wrong, look_at
from leadglass.doors.pages.devices.listing import PATH, device_of, look_up, one_page
from leadglass.doors.pages.devices.words import RIGHTS, path_of
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.web.forms import fields_of, wants_json
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Conflict
from leadglass.identity.device import MAX_ADDRESSES, MAX_REASON, BrokenRule, Device
from leadglass.policy.caller import Caller

_ONE: Final = f"{PATH}/{{device}}"


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    if services.pages is None:
        return []
    pages = _Changing(services.pages.devices_desk)
    return [
        Route(f"{_ONE}/change", ("GET",), pages.show, summary="A device, to be changed."),
        Route(f"{_ONE}/change", ("POST",), pages.change, summary="Change a device."),
        Route(f"{_ONE}/lane", ("POST",), pages.lane, summary="Extend or close its plaintext lane."),
        Route(f"{_ONE}/end", ("GET",), pages.ask, summary="Ask whether to revoke its certificate or remove it."),
        Route(f"{_ONE}/revoke", ("POST",), pages.revoke, summary="Revoke its certificate."),
        Route(f"{_ONE}/remove", ("POST",), pages.remove, summary="Remove a device."),
    ]


class _Changing:
    def __init__(self, desk: DevicesDesk) -> None:
        self._desk = desk

    async def show(self, asked: Asked) -> Response:
        device = await self._desk.threads.run(device_of, self._desk, asked)
        return self._form(asked, device, Draft.of_device(device), Wrong())

    async def change(self, asked: Asked) -> Response:
        device = await self._desk.threads.run(device_of, self._desk, asked)
        fields = await fields_of(asked.request)
        draft = Draft.of_fields({**fields, "ae": device.ae_title})
        wrong = look_at(draft, (2, 3, 4), self._desk.devices.today, is_taken=False)
        if wrong and not wants_json(asked.request):
            return self._form(asked, device, draft, wrong)
        changed = draft.device(self._desk.devices.today)
        await self._desk.threads.run(self._replace, asked.caller, changed)
        if wants_json(asked.request):
            return JSONResponse({"done": "changed"})
        return see_other(f"{path_of(device.ae_title)}?done=changed")

    async def lane(self, asked: Asked) -> Response:
        """Extend or close a lane; anything else of the device stays."""
        device = await self._desk.threads.run(device_of, self._desk, asked)
        fields = await fields_of(asked.request)
        closes = fields.get("go") == "close"
        try:
            changed = _changed_lane(device, fields, self._desk.devices.today)
            await self._desk.threads.run(self._replace, asked.caller, changed)
        except (BadInput, Conflict) as error:
            if wants_json(asked.request):
                raise
            each, place = await self._desk.threads.run(look_up, self._desk, asked)
            part = error.part.value if isinstance(error, BrokenRule) else "until"
            part = part if part in {"until", "why"} else "until"
            return one_page(
                self._desk, asked, each, place, status=HTTPStatus.BAD_REQUEST, wrong={part: error.message},
                fields=fields,
            )  # fmt: skip
        if wants_json(asked.request):
            return JSONResponse({"done": "closed" if closes else "extended"})
        return see_other(f"{path_of(device.ae_title)}?done={'closed' if closes else 'extended'}")

    async def ask(self, asked: Asked) -> Response:
        device = await self._desk.threads.run(device_of, self._desk, asked)
        what = "revoke" if asked.request.query_params.get("what") == "revoke" and device.fingerprint else "remove"
        return page(
            asked.request, "devices/end.html", caller=asked.caller, device=device, what=what,
            path=path_of(device.ae_title),
        )  # fmt: skip

    async def revoke(self, asked: Asked) -> Response:
        device = await self._desk.threads.run(device_of, self._desk, asked)
        await self._desk.threads.run(self._desk.devices.revoke, asked.caller, device.ae_title, door=DOOR)
        if wants_json(asked.request):
            return JSONResponse({"done": "revoked"})
        return see_other(f"{path_of(device.ae_title)}?done=revoked")

    async def remove(self, asked: Asked) -> Response:
        device = await self._desk.threads.run(device_of, self._desk, asked)
        await self._desk.threads.run(self._desk.devices.remove, asked.caller, device.ae_title, door=DOOR)
        if wants_json(asked.request):
            return JSONResponse({"done": "removed"})
        return see_other(f"{PATH}?done=removed")

    def _replace(self, caller: Caller, device: Device) -> None:
        self._desk.devices.add(caller, device, replace=True, door=DOOR)

    def _form(self, asked: Asked, device: Device, draft: Draft, wrong: Wrong) -> Response:
        return page(
            asked.request,
            "devices/change.html",
            caller=asked.caller,
            status=HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.OK,
            device=device,
            path=path_of(device.ae_title),
            draft=draft.with_usual_lane(self._desk.devices.today),
            rights=RIGHTS,
            wrong=wrong.fields,
            today=self._desk.devices.today,
            most_reason=MAX_REASON,
            most_addresses=MAX_ADDRESSES,
        )


def _changed_lane(device: Device, fields: dict[str, str], today: date) -> Device:
    """Give a device with its lane as a form says.

    Raises
    ------
    BadInput, Conflict
    """
    if not device.plaintext:
        raise Conflict(f"{device.ae_title} has no plaintext lane. Open one by changing the device.")
    if fields.get("go") == "close":
        return _with_lane(device, None, "")
    until = fields.get("until", "").strip()
    if not until:
        raise BadInput("Write the new last day.")
    changed = _with_lane(device, until, fields.get("why", "").strip() or device.why_plaintext)
    changed.check_new(today)
    return changed


def _with_lane(device: Device, until: str | date | None, why: str) -> Device:
    return Device.parse(
        device.ae_title,
        [str(network) for network in device.addresses],
        [action.value for action in device.allow],
        plaintext=until is not None,
        until=until,
        host=device.host,
        port=device.port,
        bulk=device.bulk,
        bulk_until=device.bulk_until,
        why_plaintext=why,
    )
