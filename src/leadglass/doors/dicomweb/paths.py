"""Paths: which instances a URL of the Studies Service is about (PS3.18 section 10.1), and the URLs of what is here.

Rule: a UID of a path is checked before anybody is asked about it, and a
message says which was wrong, never what it was.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from leadglass.archive.backroom import InstanceRecord, Selection
from leadglass.dicom.matching import Level
from leadglass.dicom.uids import UID, parse_uid
from leadglass.errors import BadInput

ROOT: Final = "/dicom-web"
STUDY: Final = f"{ROOT}/studies/{{study}}"
SERIES: Final = f"{STUDY}/series/{{series}}"
INSTANCE: Final = f"{SERIES}/instances/{{instance}}"

_OWN_PORT: Final = 443
_NAMES: Final = {"study": "Study", "series": "Series", "instance": "SOP"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names: a study, a series of it, or an instance of that.

    Parameters
    ----------
    study, series, instance : str
        UIDs; series and instance may be empty.
    """

    study: UID
    series: UID | None = None
    instance: UID | None = None

    @property
    def level(self) -> Level:
        """The level it is of."""
        return Level.IMAGE if self.instance else Level.SERIES if self.series else Level.STUDY

    @property
    def selection(self) -> Selection:
        """The unique keys."""
        return Selection(
            study_uids=(self.study,),
            series_uids=(self.series,) if self.series else (),
            sop_instance_uids=(self.instance,) if self.instance else (),
        )


def uid_of(text: str, what: str) -> UID:
    """Read a UID of a request; raises ``BadInput`` that says which it was."""
    try:
        uid = parse_uid(text)
    except BadInput as error:
        raise BadInput(f"The {what} Instance UID is not one. {error.message}") from None
    if uid != text:
        raise BadInput(f"The {what} Instance UID is not one: a URL has no padding.")
    return uid


def target_of(request: Request) -> Target:
    """Give what the path of a request names.

    Raises
    ------
    BadInput
        When a UID of it is none (PS3.5 section 9.1).
    """
    found: dict[str, str] = request.path_params
    study, series, instance = (uid_of(found[name], said) if name in found else None for name, said in _NAMES.items())
    if study is None:
        raise BadInput("The path names no study.")
    return Target(study, series, instance)


def service_url(request: Request) -> str:
    """Give the absolute URL of the service, as the client calls it; the gate has checked the host.

    A Host field without a port is of the scheme's own port. But dicomweb-client
    leaves out every port: where nobody is in between, the one we listen on is
    put in, unless the operator said how this host is reached (``[web] address``).
    """
    scope = request.scope
    is_direct = "leadglass.direct" in scope and scope["leadglass.direct"] == scope["leadglass.peer"]
    port: int | None = (scope.get("server") or ("", None))[1] if is_direct else None
    return _service_url(
        f"{scope['scheme']}://{request.headers['host'].removesuffix(':')}", scope.get("leadglass.address", ""), port
    )


@lru_cache(maxsize=64)
def _service_url(origin: str, address: str, port: int | None) -> str:
    """Give it for who asked at ``origin`` of what listens on ``port``, where nobody is in between."""
    said = urlsplit(origin)
    if said.port is None:
        if address and urlsplit(address).hostname == said.hostname:
            return address + ROOT
        origin += f":{port}" if port not in (None, _OWN_PORT) else ""
    return origin + ROOT


def instance_path(record: InstanceRecord) -> str:
    """Give the path of one instance below the service's URL."""
    return f"/studies/{record.study_uid}/series/{record.series_uid}/instances/{record.sop_instance_uid}"
