"""Capabilities: what the DICOMweb service can do, told by itself (PS3.18 section 8.9 and Annex H).

Rule: what is told is made of the routes that are answered by, and of nothing else.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import quoteattr

from leadglass.doors.dicomweb.paths import ROOT
from leadglass.doors.web.description import Operation, Operations, Place
from leadglass.doors.web.routes import Route

WADL: Final = "application/vnd.sun.wadl+xml"
"""Web Application Description Language, which Annex H asks for."""

_NAMESPACE: Final = "http://wadl.dev.java.net/2009/02"
_UNTOLD: Final = ("OPTIONS",)
"""Methods that Annex H leaves out: they are how this is asked for."""


@dataclass(slots=True)
class _Resource:
    """A segment of a path, what is done there, and what is below."""

    methods: list[tuple[str, Operation]] = field(default_factory=list[tuple[str, Operation]])
    below: dict[str, "_Resource"] = field(default_factory=dict[str, "_Resource"])


def write_wadl(routes: Iterable[Route], operations: Operations, base: str) -> bytes:
    """Give the Capabilities Description of the service (PS3.18 Annex H).

    Parameters
    ----------
    routes : iterable of Route
        All of the door; those outside of the service are left out.
    operations : mapping
        What is said of them.
    base : str
        The URL of the service.
    """
    root = _Resource()
    for route in routes:
        if not route.path.startswith(f"{ROOT}/"):
            continue
        place = root
        for segment in route.path.removeprefix(f"{ROOT}/").split("/"):
            if segment:
                place = place.below.setdefault(segment, _Resource())
        for method in route.methods:
            operation = operations.get((method, route.path))
            if operation is not None and method not in _UNTOLD:
                place.methods.append((method, operation))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<application xmlns={quoteattr(_NAMESPACE)}>",
        f"<resources base={quoteattr(base)}>",
    ]
    for segment, resource in root.below.items():
        _write(segment, resource, lines)
    lines += ["</resources>", "</application>", ""]
    return "\n".join(lines).encode()


def _write(segment: str, resource: _Resource, lines: list[str]) -> None:
    lines.append(f"<resource path={quoteattr(segment)}>")
    if segment.startswith("{"):
        lines.append(f'<param name={quoteattr(segment.strip("{}"))} style="template" required="true"/>')
    for method, operation in resource.methods:
        lines.append(f"<method name={quoteattr(method)} id={quoteattr(operation.transaction)}>")
        _write_request(operation, lines)
        statuses = " ".join(map(str, operation.statuses))
        lines.append(f"<response status={quoteattr(statuses)}>")
        lines += [f"<representation mediaType={quoteattr(media)}/>" for media in operation.gives]
        lines += ["</response>", "</method>"]
    for each, below in resource.below.items():
        _write(each, below, lines)
    lines.append("</resource>")


def _write_request(operation: Operation, lines: list[str]) -> None:
    lines.append("<request>")
    if operation.gives:
        lines.append(f'<param name="Accept" style="header" default={quoteattr(operation.gives[0])}>')
        lines += [f"<option value={quoteattr(media)}/>" for media in operation.gives]
        lines.append("</param>")
    for parameter in operation.parameters:
        style = "header" if parameter.place is Place.HEADER else "query"
        lines.append(f"<param name={quoteattr(parameter.name)} style={quoteattr(style)}/>")
    lines += [f"<representation mediaType={quoteattr(media)}/>" for media in operation.takes]
    lines.append("</request>")
