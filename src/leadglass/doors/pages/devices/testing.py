"""Testing a device: from here to it, and waiting for it to come."""

from http import HTTPStatus
from typing import Final, TypedDict

from starlette.responses import JSONResponse, Response

from leadglass.doors.dimse.probe import Step
from leadglass.doors.pages.devices.connecting import connecting
from leadglass.doors.pages.devices.desk import DOOR, DevicesDesk
from leadglass.doors.pages.devices.explaining import Explained, Place, explain
from leadglass.doors.pages.devices.listing import PATH, device_of
from leadglass.doors.pages.devices.trials import Trial, Way
from leadglass.doors.pages.devices.words import path_of
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.web.forms import fields_of, wants_json
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput
from leadglass.identity.contacts import Arrival, What

_ONE: Final = f"{PATH}/{{device}}"

_AT_ONCE: Final = 2.5
"""Seconds for which the answer waits for a test to be over, so that most need no second look."""

STAGES: Final = {
    "set up": "Set-up",
    "name": "Name",
    "connect": "Network (TCP)",
    "tls": "Encryption (TLS)",
    "associate": "DICOM association",
    "echo": "C-ECHO",
}


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    if services.pages is None:
        return []
    pages = _Testing(services.pages.devices_desk)
    return [
        Route(f"{_ONE}/test", ("GET",), pages.offer, summary="How a device can be tested."),
        Route(f"{_ONE}/test", ("POST",), pages.begin, summary="Begin to test a device."),
        Route(f"{_ONE}/tests/{{test}}", ("GET",), pages.show, summary="How a test stands."),
        Route(f"{_ONE}/tests/{{test}}/stop", ("POST",), pages.stop, summary="Stop a test."),
    ]


class _Testing:
    def __init__(self, desk: DevicesDesk) -> None:
        self._desk = desk

    async def offer(self, asked: Asked) -> Response:
        device = await self._desk.threads.run(device_of, self._desk, asked)
        return page(
            asked.request, "devices/test.html", caller=asked.caller, device=device, path=path_of(device.ae_title),
            place=connecting(self._desk, device), trial=None, **_nothing(),
        )  # fmt: skip

    async def begin(self, asked: Asked) -> Response:
        device = await self._desk.threads.run(device_of, self._desk, asked)
        fields = await fields_of(asked.request)
        try:
            way = Way(fields.get("way", ""))
        except ValueError:
            raise BadInput("Say which way to test: to or from.") from None
        await self._desk.threads.run(self._desk.devices.note_test, asked.caller, device, way.value, door=DOOR)
        trial = self._desk.trials.begin(str(asked.caller), device, way)
        if way is Way.TO:
            await self._desk.trials.settled(trial, _AT_ONCE)
        where = f"{path_of(device.ae_title)}/tests/{trial.id}"
        if wants_json(asked.request):
            return JSONResponse({"test": where}, HTTPStatus.CREATED)
        return see_other(where)

    async def show(self, asked: Asked) -> Response:
        trial = await self._trial(asked)
        values = await self._desk.threads.run(self._values, trial)
        if wants_json(asked.request):
            return JSONResponse(_as_json(trial, values["explained"]))
        is_part = asked.request.query_params.get("part") == "1"
        return page(
            asked.request,
            "devices/state.html" if is_part else "devices/test.html",
            caller=asked.caller,
            headers={"X-Leadglass-Over": "1" if trial.over else "0"},
            device=trial.device,
            path=path_of(trial.device.ae_title),
            place=connecting(self._desk, trial.device),
            trial=trial,
            **values,
        )

    async def stop(self, asked: Asked) -> Response:
        trial = await self._trial(asked)
        self._desk.trials.stop(trial)
        if wants_json(asked.request):
            return JSONResponse({"done": "stopped"})
        return see_other(f"{path_of(trial.device.ae_title)}/tests/{trial.id}")

    async def _trial(self, asked: Asked) -> Trial:
        device = await self._desk.threads.run(device_of, self._desk, asked)
        return self._desk.trials.find(str(asked.caller), device.ae_title, asked.request.path_params["test"])

    def _values(self, trial: Trial) -> "_Values":
        seen, strangers = self._desk.trials.arrived(trial)
        doors = {door.secured: door.port for door in self._desk.doors()}
        place = Place(self._desk.ae_title, doors.get(True, 0), doors.get(False, 0))
        explained = [explain(arrival, trial.device, place) for arrival in reversed(seen) if _tells(arrival)]
        others = [explain(arrival, trial.device, place) for arrival in reversed(strangers)]
        works = any(each.arrival.what in {What.ECHOED, What.LET_IN} for each in explained)
        return {
            "steps": trial.steps,
            "stages": STAGES,
            "explained": explained,
            "others": others,
            "works": works,
            "failed": trial.over and not trial.stopped and not trial.answered and bool(trial.steps),
        }


class _Values(TypedDict):
    """What a template shows of a test."""

    steps: list[Step]
    stages: dict[str, str]
    explained: list[Explained]
    others: list[Explained]
    works: bool
    failed: bool


def _tells(arrival: Arrival) -> bool:
    """Say whether an arrival says something: that it hung up, having done nothing, does not."""
    return arrival.what is not What.ENDED or bool(arrival.said)


def _nothing() -> _Values:
    return {"steps": [], "stages": STAGES, "explained": [], "others": [], "works": False, "failed": False}


def _as_json(trial: Trial, arrived: list[Explained]) -> dict[str, object]:
    return {
        "way": trial.way.value,
        "over": trial.over,
        "answered": trial.answered,
        "steps": [_step(step) for step in trial.steps],
        "arrived": [
            {"at": each.arrival.at.isoformat(), "from": each.arrival.address, "kind": each.kind, "said": each.said,
             "fix": each.fix}
            for each in arrived
        ],
    }  # fmt: skip


def _step(step: Step) -> dict[str, str]:
    return {
        "stage": step.stage.value, "result": step.result.value, "said": step.said, "advice": step.advice,
    }  # fmt: skip
