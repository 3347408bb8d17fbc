"""The wizard: enrolling a device in five small steps, that all work without scripts.

Rule: nothing is kept between the steps but what the form carries; every step before
is looked at again, whatever a form says.
"""

from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.doors.pages.devices.desk import DOOR, DevicesDesk
from leadglass.doors.pages.devices.draft import KINDS, STEPS, TAKEN, Draft, Wrong, look_at
from leadglass.doors.pages.devices.listing import PATH
from leadglass.doors.pages.devices.words import RIGHTS, in_words, path_of, reach_of
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.web.forms import fields_of, wants_json
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Conflict
from leadglass.identity.device import MAX_ADDRESSES, MAX_REASON, PLAINTEXT_ACTIONS, Device
from leadglass.policy.caller import Caller

NEW: Final = f"{PATH}/new"

_LAST: Final = len(STEPS)


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    if services.pages is None:
        return []
    pages = _Wizard(services.pages.devices_desk)
    return [
        Route(NEW, ("GET",), pages.begin, summary="Begin to enrol a device."),
        Route(NEW, ("POST",), pages.go_on, summary="Go on enrolling a device; the last step enrols it."),
    ]


class _Wizard:
    def __init__(self, desk: DevicesDesk) -> None:
        self._desk = desk

    async def begin(self, asked: Asked) -> Response:
        await self._desk.threads.run(self._desk.devices.look, asked.caller, door=DOOR)
        return self._step(asked, 1, Draft(), Wrong())

    async def go_on(self, asked: Asked) -> Response:
        await self._desk.threads.run(self._desk.devices.look, asked.caller, door=DOOR)
        fields = await fields_of(asked.request)
        draft = Draft.of_fields(fields)
        if wants_json(asked.request):
            return await self._by_program(asked, draft)
        step = _number(fields.get("step", "1"))
        if fields.get("go") == "back":
            return self._step(asked, max(1, step - 1), draft, Wrong())
        today = self._desk.devices.today
        for each in range(1, min(step, _LAST - 1) + 1):
            is_taken = each == 2 and await self._desk.threads.run(self._is_taken, draft.ae)
            wrong = look_at(draft, [each], today, is_taken=is_taken)
            if wrong:
                return self._step(asked, each, draft, wrong)
        if step < _LAST:
            return self._step(asked, step + 1, draft, Wrong())
        device = draft.device(today)
        try:
            await self._desk.threads.run(self._add, asked.caller, device)
        except Conflict:  # somebody else enrolled it meanwhile
            wrong = look_at(draft, [2], today, is_taken=True)
            return self._step(asked, 2, draft, wrong)
        after = "" if device.plaintext else "/certificate"
        return see_other(f"{path_of(device.ae_title)}{after}?done=enrolled")

    async def _by_program(self, asked: Asked, draft: Draft) -> Response:
        device = draft.device(self._desk.devices.today)
        await self._desk.threads.run(self._add, asked.caller, device)
        return JSONResponse({"ae": device.ae_title, "path": path_of(device.ae_title)}, HTTPStatus.CREATED)

    def _add(self, caller: Caller, device: Device) -> None:
        self._desk.devices.add(caller, device, door=DOOR)

    def _is_taken(self, ae: str) -> bool:
        return self._desk.devices.find(ae.strip(" ")) is not None

    def _step(self, asked: Asked, step: int, draft: Draft, wrong: Wrong) -> Response:
        today = self._desk.devices.today
        if step == 3:
            draft = draft.with_usual_rights()
        if step == 4:
            draft = draft.with_usual_lane(today)
        device = _made(draft, self._desk) if step == _LAST else None
        return page(
            asked.request,
            "devices/new.html",
            caller=asked.caller,
            status=HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.OK,
            step=step,
            steps=STEPS,
            kinds=KINDS,
            rights=RIGHTS,
            draft=draft,
            carried=draft.carried(),
            wrong=wrong.fields,
            device=device,
            may=in_words(device.allow) if device else "",
            beyond=in_words(device.allow - PLAINTEXT_ACTIONS) if device and device.plaintext else "",
            reach=reach_of(device, self._desk.allowed_networks) if device else "",
            is_long=device.is_long(today) if device else False,
            today=today,
            most_reason=MAX_REASON,
            most_addresses=MAX_ADDRESSES,
            taken_path=path_of(draft.ae) if wrong.fields.get("ae") == TAKEN else "",
        )


def _made(draft: Draft, desk: DevicesDesk) -> Device | None:
    try:
        return draft.device(desk.devices.today)
    except BadInput:
        return None


def _number(text: str) -> int:
    return int(text) if text in {"1", "2", "3", "4", "5"} else 1
