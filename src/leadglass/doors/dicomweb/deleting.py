"""Deleting: a study, by ``DELETE`` of its URL; not a transaction of the Standard, and what clients know.

Rule: a study is deleted whole, with its key; a part of one is not.
"""

from http import HTTPStatus

from starlette.responses import Response

from leadglass.doors.dicomweb.paths import STUDY, target_of
from leadglass.doors.web.routes import Asked, Route, Services


class Deleting:
    """Deletion.

    Parameters
    ----------
    services : Services
        What handlers work with.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def study(self, asked: Asked) -> Response:
        """Delete a study."""
        target = target_of(asked.request)
        await self._services.threads.run(self._services.archive.delete, asked.caller, target.study)
        return Response(status_code=HTTPStatus.NO_CONTENT)


def routes(services: Services) -> list[Route]:
    """Give the routes of deletion."""
    deleting = Deleting(services)
    return [Route(STUDY, ("DELETE",), deleting.study, summary="Delete a study, its key first.")]
