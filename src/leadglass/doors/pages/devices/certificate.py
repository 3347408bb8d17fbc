"""Handing out a certificate: the key is made when it is downloaded, and is nowhere afterwards.

Rule 1. What is downloaded cannot be downloaded again: not by loading the page anew,
not by sending the form twice (``Devices.issue`` sees that another certificate counts
by then). Rule 2. The password of a PKCS #12 file is made here, shown on the page
before the download, and kept nowhere.
"""

import io
import secrets
import zipfile
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from leadglass.crypto.requests import pkcs12, read_request
from leadglass.doors.pages.devices.connecting import Connecting
from leadglass.doors.pages.devices.desk import DOOR, DevicesDesk
from leadglass.doors.pages.devices.listing import PATH, look_up
from leadglass.doors.pages.devices.words import Shown
from leadglass.doors.pages.page import page
from leadglass.doors.web.forms import fields_of, wants_page
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Conflict
from leadglass.identity.device import Device
from leadglass.policy.caller import Caller

_CERTIFICATE: Final = f"{PATH}/{{device}}/certificate"

_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without what is mistaken for another: somebody types it at a device's keyboard."""

_GROUPS: Final = 5
_LONG: Final = 4
"""Twenty letters of 32: 100 bits."""


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    if services.pages is None:
        return []
    pages = _HandingOut(services.pages.devices_desk)
    return [
        Route(_CERTIFICATE, ("GET",), pages.show, summary="How a device gets its certificate."),
        Route(_CERTIFICATE, ("POST",), pages.make, summary="Make a device's certificate, and download it."),
    ]


class _HandingOut:
    def __init__(self, desk: DevicesDesk) -> None:
        self._desk = desk

    async def show(self, asked: Asked) -> Response:
        each, place = await self._desk.threads.run(look_up, self._desk, asked)
        return self._page(asked, each, place, enrolled=asked.request.query_params.get("done") == "enrolled")

    async def make(self, asked: Asked) -> Response:
        each, place = await self._desk.threads.run(look_up, self._desk, asked)
        fields = await fields_of(asked.request)
        try:
            name, media_type, data = await self._desk.threads.run(self._made, asked.caller, each.device, place, fields)
        except (BadInput, Conflict) as error:
            if not wants_page(asked.request):
                raise
            status = HTTPStatus.CONFLICT if isinstance(error, Conflict) else HTTPStatus.BAD_REQUEST
            each, place = await self._desk.threads.run(look_up, self._desk, asked)
            return self._page(asked, each, place, status=status, error=error.message, fields=fields)
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(data, headers=headers, media_type=media_type)

    def _made(
        self, caller: Caller, device: Device, place: Connecting, fields: dict[str, str]
    ) -> tuple[str, str, bytes]:
        """Make the certificate, and what is downloaded of it: name, media type, bytes."""
        devices, authority = self._desk.devices, self._desk.devices.authority.pem
        name, instead_of = file_name(device.ae_title), fields.get("instead_of", "")[:64]
        match fields.get("format", ""):
            case "pem":
                issued = devices.issue(caller, device.ae_title, instead_of=instead_of, door=DOOR)
                texts = {
                    "key.pem": issued.key_pem,
                    "cert.pem": issued.certificate_pem,
                    "ca.pem": authority,
                    "settings.txt": place.as_text().encode(),
                }
                return f"{name}.zip", "application/zip", _zipped(texts)
            case "p12":
                password = _password(fields.get("password", ""))
                issued = devices.issue(caller, device.ae_title, instead_of=instead_of, door=DOOR)
                return f"{name}.p12", "application/x-pkcs12", pkcs12(issued, authority, device.ae_title, password)
            case "csr":
                request = read_request(fields.get("request", ""))
                issued = devices.issue(caller, device.ae_title, instead_of=instead_of, request=request, door=DOOR)
                texts = {
                    "cert.pem": issued.certificate_pem,
                    "ca.pem": authority,
                    "settings.txt": place.as_text()
                    .replace("key.pem    private key: keep it on the device alone\n", "")
                    .encode(),
                }
                return f"{name}-certificate.zip", "application/zip", _zipped(texts)
            case _:
                raise BadInput("Choose what to download.")

    def _page(
        self, asked: Asked, each: Shown, place: Connecting, *, status: int = HTTPStatus.OK, error: str = "",
        fields: dict[str, str] | None = None, enrolled: bool = False,
    ) -> Response:  # fmt: skip
        return page(
            asked.request,
            "devices/certificate.html",
            caller=asked.caller,
            status=status,
            each=each,
            device=each.device,
            place=place,
            error=error,
            request_text=_shown_again((fields or {}).get("request", "")),
            chosen=(fields or {}).get("format", ""),
            password=new_password(),
            enrolled=enrolled,
        )


def _shown_again(text: str) -> str:
    """Give what was pasted, to be corrected; a private key is not sent back once more."""
    return "" if "PRIVATE KEY" in text else text[:16_384]


def new_password() -> str:
    """Make a password for one file: five groups of four letters and digits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_LONG)) for _ in range(_GROUPS))


def _password(text: str) -> str:
    """Take the password that the page showed; one of another make is not taken.

    Raises
    ------
    BadInput
    """
    groups = text.split("-")
    if len(groups) != _GROUPS or any(len(each) != _LONG or not set(each) <= set(_LETTERS) for each in groups):
        raise BadInput("The password of the file is missing. Load the page again.")
    return text


def file_name(ae_title: str) -> str:
    """Give a name for a file that every system takes."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "-_") else "_" for each in ae_title)


def _zipped(files: dict[str, bytes]) -> bytes:
    """Put files into a ZIP, readable by their owner alone where the reader minds."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100600 if name == "key.pem" else 0o100644) << 16
            archive.writestr(entry, data)
    return out.getvalue()
