"""A STOW-RS client that is cut off in the middle of anything: what a 200 or 202 calls stored is acknowledged.

Rule: it gives what became of each instance as a status of C-STORE, or raises ``Lost``; nothing that was not answered
in full counts.
"""

import ssl
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import httpx

from tests.hostile.images import Image
from tests.hostile.plain import Lost
from tests.hostile.webstage import RELATED, multipart

REFUSED: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE})
"""How a request as a whole may be refused by an archive that cannot do it now."""
BUSY: Final = 0xA700
_REFERENCED, _FAILED, _UID, _REASON = "00081199", "00081198", "00081155", "00081197"


class Storer:
    """One client with one connection or some; use it as a context manager."""

    def __init__(self, port: int, token: str, authority: Path, *, patience: float = 60.0) -> None:
        self._client = httpx.Client(
            base_url=f"https://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {token}", "Content-Type": RELATED},
            verify=ssl.create_default_context(cafile=str(authority)),
            timeout=patience,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def store(self, images: Sequence[Image]) -> list[int]:
        """Send images in one request; gives the status of each, ``BUSY`` for all where the request was refused.

        Raises
        ------
        Lost
            When there is no whole answer.
        """
        try:
            said = self._client.post("/dicom-web/studies", content=multipart(*(each.file() for each in images)))
        except httpx.HTTPError as error:
            raise Lost(repr(error)) from error
        if said.status_code in REFUSED:
            assert said.headers["content-type"] == "application/problem+json"
            return [BUSY] * len(images)
        assert said.status_code in (200, 202, 409), f"{said.status_code}: {said.text}"
        module = cast("dict[str, Any]", said.json())
        became: list[tuple[str, int]] = [
            *((uid, 0) for uid, _ in _items(module, _REFERENCED)),
            *((uid, int(item[_REASON]["Value"][0])) for uid, item in _items(module, _FAILED)),
        ]
        statuses: list[int] = []
        for each in images:
            uid, status = next(one for one in became if one[0] == each.sop_instance_uid)
            became.remove((uid, status))
            statuses.append(status)
        assert became == [], "it answers what was not sent"
        return statuses


def _items(module: dict[str, Any], tag: str) -> list[tuple[str, dict[str, Any]]]:
    items = cast("list[dict[str, Any]]", module.get(tag, {}).get("Value", []))
    return [(str(item[_UID]["Value"][0]), item) for item in items]
