"""Description: what a route takes and gives, in words for programs (OpenAPI 3.1).

Rule: the routes are the list that the door answers by; what is said beside them
is looked up by method and path, and a test sees that nothing is said of a route
that is not there, and something of each that is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from leadglass import __version__
from leadglass.doors.web.problem import MEDIA_TYPE, TABLE
from leadglass.doors.web.routes import PARAMETER, Access, Route

Json = dict[str, object]
"""A part of the document."""


class Place(StrEnum):
    """Where a parameter stands."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a request.

    Parameters
    ----------
    name : str
        Its name.
    place : Place
        Where it stands.
    what : str
        One sentence.
    schema : mapping
        JSON Schema of its value.
    """

    name: str
    place: Place
    what: str
    schema: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Operation:
    """What is done at a route by a method.

    Parameters
    ----------
    transaction : str
        The Standard's name of it without spaces, or ours; unique.
    section : str
        Where the Standard has it, as in ``PS3.18 10.4.1.1.1``; empty where it is ours.
    parameters : tuple of Parameter
        Of query and header; those of the path are known by their names.
    gives : tuple of str
        Media types of a success.
    takes : tuple of str
        Media types of a request's body; empty: it has none.
    statuses : tuple of int
        What a success may be.
    tells : tuple of int
        Statuses of answers that have the media types of a success and are none.
    """

    transaction: str
    section: str = ""
    parameters: tuple[Parameter, ...] = ()
    gives: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (200,)
    tells: tuple[int, ...] = ()


Operations = Mapping[tuple[str, str], Operation]
"""What is said of routes, by method and path."""

UID: Final[Mapping[str, object]] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)*$", "maxLength": 64}
"""PS3.5 9.1, with the leading zeros that real devices write."""

PATHS: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "study": ("Study Instance UID.", UID),
    "series": ("Series Instance UID.", UID),
    "instance": ("SOP Instance UID.", UID),
    "frames": (
        "Frame numbers from 1, parted by commas.",
        {"type": "string", "pattern": r"^[1-9][0-9]{0,5}(,[1-9][0-9]{0,5}){0,9}$"},
    ),
    "place": (
        "What metadata names in a BulkDataURI.",
        {"type": "string", "pattern": r"^(bulk|fragments):[0-9]{1,9},[0-9]{1,9}$"},
    ),
}
"""Parameters of paths by name."""

_OF_PROBLEM: Final[Mapping[str, object]] = {"$ref": "#/components/schemas/Problem"}
_PLAIN: Final[Mapping[str, object]] = {"type": "string"}
_REFUSALS: Final = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
)
"""What HTTP has a status of its own for, beside what the kinds of error are answered with."""


def describe(routes: Iterable[Route], operations: Operations) -> Json:
    """Give the OpenAPI document of some routes.

    Parameters
    ----------
    routes : iterable of Route
        All of the door.
    operations : mapping
        What is said of them; a route that is not in it is described by its path alone.
    """
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        for method in route.methods:
            operation = operations.get((method, route.path)) or _untold(method, route.path)
            path = route.path.replace(":path}", "}")
            paths.setdefault(path, {})[method.lower()] = _operation(route, method, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Leadglass",
            "version": __version__,
            "summary": "DICOMweb (PS3.18) and the pages of a DICOM archive.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": _problem()},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "leadglass token create"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-leadglass",
                    "description": "Of who signed in with a browser.",
                },
            },
        },
        "security": [{"token": []}, {"session": []}],
    }


def _operation(route: Route, method: str, operation: Operation) -> Json:
    said: Json = {
        "operationId": operation.transaction if method != "HEAD" else f"{operation.transaction}Head",
        "summary": route.summary or operation.transaction,
        "parameters": [*_of_path(route.path), *map(_parameter, operation.parameters)],
        "responses": _responses(route, method, operation),
    }
    if operation.section:
        said["description"] = operation.section
    if route.access is Access.ANONYMOUS:
        said["security"] = []
    if operation.takes:
        said["requestBody"] = {"required": True, "content": {media: {"schema": {}} for media in operation.takes}}
    return said


def _of_path(path: str) -> list[Json]:
    given: list[Json] = []
    for match in PARAMETER.finditer(path):
        what, schema = PATHS.get(match[1], (f"{match[1].replace('_', ' ').capitalize()}.", _PLAIN))
        given.append({"name": match[1], "in": "path", "required": True, "description": what, "schema": schema})
    return given


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place.value,
        "description": parameter.what,
        "schema": parameter.schema,
    }


def _responses(route: Route, method: str, operation: Operation) -> Json:
    content: Json = {} if method == "HEAD" else {media: {"schema": {}} for media in operation.gives}
    responses: Json = {}
    for status in (*operation.statuses, *operation.tells):
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if content and status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    refusals = {answer.status: answer.title for answer in TABLE.values()}
    refusals |= {status: status.phrase for status in _REFUSALS if status not in refusals}
    if route.access is Access.IDENTIFIED:
        refusals[HTTPStatus.UNAUTHORIZED] = "Say who you are"
    for status, title in sorted(refusals.items()):
        problem: Json = {"description": title, "content": {MEDIA_TYPE: {"schema": _OF_PROBLEM}}}
        known = responses.get(str(status))
        if isinstance(known, dict):
            problem["content"] = {**content, MEDIA_TYPE: {"schema": {}}}
        responses[str(status)] = problem
    return dict(sorted(responses.items()))


def _problem() -> Json:
    return {
        "type": "object",
        "description": "A problem document (RFC 9457).",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string"},
        },
    }


def _untold(method: str, path: str) -> Operation:
    """Describe what nothing is said of: a page, or what can be done at a path."""
    if method == "OPTIONS":
        return Operation(_name(method, path), statuses=(204,))
    pages = ("text/html", "text/plain", "text/css", "text/javascript", "application/json", "image/svg+xml")
    return Operation(_name(method, path), gives=pages, statuses=(200, 204, 303))


def _name(method: str, path: str) -> str:
    words = path.replace("{", " ").replace("}", " ").replace("/", " ").replace("-", " ").replace(".", " ").split()
    return method.lower() + "".join(word.capitalize() for word in words)
