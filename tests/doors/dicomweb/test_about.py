"""What the door says of itself: true of each route, told to nobody unknown, and held to by a stranger with a token."""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast
from xml.etree.ElementTree import Element

import httpx
import pytest
from defusedxml.ElementTree import fromstring

from leadglass.dicom.part10 import file_meta
from leadglass.doors.dicomweb.operations import OPERATIONS
from tests.peers.web import Web, serving
from tests.vault.sets import CT, EXPLICIT, data_set, encoded

STUDY, SERIES, INSTANCE = "1.2.826.1", "1.2.826.1.1", "1.2.826.1.1.1"
LONG = os.environ.get("LEADGLASS_LONG", "") != ""
SECONDS = 600 if LONG else 16
"""For both questionings; each takes half."""
_WADL = "{http://wadl.dev.java.net/2009/02}"

HOOKS = """
import schemathesis

PART = (
    b"--b\\r\\nContent-Type: application/dicom\\r\\n\\r\\n",
    b"\\r\\n--b--\\r\\n",
)


@schemathesis.serializer("multipart/related")
def related(context, value):
    body = value if isinstance(value, bytes) else repr(value).encode()
    return PART[0] + body + PART[1]


@schemathesis.serializer("application/dicom")
def dicom(context, value):
    return value if isinstance(value, bytes) else repr(value).encode()


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.media_type == "multipart/related":
        case.headers["Content-Type"] = 'multipart/related; type="application/dicom"; boundary=b'
"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    folder = tmp_path_factory.mktemp("about")
    with serving(folder) as running:
        made = data_set(StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, SOPInstanceUID=INSTANCE)
        (folder / "one.dcm").write_bytes(file_meta(CT, INSTANCE, EXPLICIT) + encoded(made))
        running.leadglass.do("import", folder / "one.dcm")
        yield running


@pytest.fixture(scope="module")
def document(web: Web) -> dict[str, Any]:
    with web.client(web.token(name="reader")) as client:
        answer = client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return cast("dict[str, Any]", answer.json())


_PARAMETERS = re.compile(r"\{(\w+)\}")


def filled(path: str) -> str:
    """Fill a path's parameters."""
    given = {"study": STUDY, "series": SERIES, "instance": INSTANCE, "frames": "1", "place": "bulk:0,1"}
    return _PARAMETERS.sub(lambda found: given.get(found[1], "1"), path)


def test_every_route_of_dicomweb_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    there = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith(("/dicom-web/", "/wado")) and path != "/dicom-web/" and method != "options"
    }
    assert there == set(OPERATIONS)


def test_every_operation_has_a_name_of_its_own_and_every_path_its_parameters(document: dict[str, Any]) -> None:
    names: list[str] = []
    for path, operations in document["paths"].items():
        for operation in operations.values():
            names.append(operation["operationId"])
            said = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert said == set(_PARAMETERS.findall(path))
            assert operation["summary"]
    assert len(names) == len(set(names)) > 60


def test_who_is_not_identified_learns_nothing_of_it(web: Web) -> None:
    with web.client() as client:
        for method, path in (("GET", "/openapi.json"), ("OPTIONS", "/dicom-web/"), ("OPTIONS", "/dicom-web/studies")):
            answer = client.request(method, path)
            assert answer.status_code == 401
            assert "allow" not in answer.headers


def test_every_path_says_what_is_allowed_and_means_it(web: Web, document: dict[str, Any]) -> None:
    with web.client(web.token(name="allowed")) as client:
        for path, operations in document["paths"].items():
            answer = client.request("OPTIONS", filled(path))
            assert answer.status_code in (200, 204), path
            allowed = {each.strip() for each in answer.headers["allow"].split(",")}
            told = {method.upper() for method in operations}
            assert allowed == (told | {"HEAD"} if "GET" in told else told), path
            other = next(each for each in ("PUT", "DELETE", "POST") if each not in allowed)
            refused = client.request(other, filled(path))
            assert refused.status_code == 405, path
            assert {each.strip() for each in refused.headers["allow"].split(",")} == allowed


def test_head_says_of_each_resource_what_get_says(web: Web) -> None:
    study = f"/dicom-web/studies/{STUDY}"
    instance = f"{study}/series/{SERIES}/instances/{INSTANCE}"
    with web.client(web.token(name="head")) as client:
        for path in (
            "/dicom-web/studies", study, f"{study}/metadata", instance, f"{instance}/frames/1", "/dicom-web/changes",
            f"{instance}/rendered", "/dicom-web/studies/1.2.99", "/dicom-web/events", "/openapi.json",
        ):  # fmt: skip
            head = client.head(path)
            with client.stream("GET", path) as there:
                assert (head.status_code, head.content) == (there.status_code, b""), path
                for field in ("content-type", "content-length", "etag", "vary"):
                    said, told = (answer.headers.get(field, "").partition("boundary=")[0] for answer in (head, there))
                    assert said == told, (path, field)


def _resources(element: Element, above: str) -> Generator[tuple[str, str, str]]:
    for resource in element.findall(f"{_WADL}resource"):
        path = f"{above}/{resource.get('path')}"
        for method in resource.findall(f"{_WADL}method"):
            yield str(method.get("name")), path, str(method.get("id"))
        yield from _resources(resource, path)


@pytest.mark.parametrize(("method", "path"), [("OPTIONS", "/dicom-web/"), ("GET", "/dicom-web")])
def test_capabilities_are_told_as_the_standard_has_them(web: Web, method: str, path: str) -> None:
    """PS3.18 8.9 and Annex H: a WADL document with the base URL and the tree of resources."""
    with web.client(web.token(name=f"capable-{method.lower()}")) as client:
        answer = client.request(method, path, headers={"Accept": "application/vnd.sun.wadl+xml"})
        refused = client.request(method, path, headers={"Accept": "image/png"})
        as_json = client.request(method, path, headers={"Accept": "application/json"})
    assert answer.headers["content-type"] == "application/vnd.sun.wadl+xml"
    application = fromstring(answer.text)
    assert application.tag == f"{_WADL}application"
    (resources,) = application.findall(f"{_WADL}resources")
    assert resources.get("base") == f"{web.url}/dicom-web"
    told = list(_resources(resources, "/dicom-web"))
    assert {(each, at) for each, at, _ in told} == {key for key in OPERATIONS if key[1] != "/wado"}
    assert len({name for _, _, name in told}) == len(told)
    assert refused.status_code == 406
    assert as_json.json()["openapi"] == "3.1.0"


def test_served_tokens_see_what_their_role_may_and_nothing_once_they_are_revoked(web: Web) -> None:
    """The served archive, with tokens as an operator makes them; ``tests/doors/test_who_sees_what`` has every row."""
    path = f"/dicom-web/studies/{STUDY}/metadata"
    for role, scope, status in (("admin", (), 403), ("referrer", (), 403), ("referrer", ("study=1.2.3",), 404)):
        with web.client(web.token(role, name=f"{role}-{len(scope)}", scope=scope)) as client:
            assert client.get(path).status_code == status
    with web.client(web.token("researcher")) as client:
        (seen,) = client.get(path).json()
        assert seen["00100010"] == {"vr": "PN"}
        assert client.get("/dicom-web/studies?PatientName=Doe*").status_code == 403
        web.leadglass.do("token", "revoke", "researcher")
        refused = client.get(path)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="leadglass"')


def schemathesis(folder: Path, web: Web, *arguments: str, settings: str = "") -> "subprocess.CompletedProcess[str]":
    """Have schemathesis ask the running archive whatever its description lets it."""
    (folder / "hooks.py").write_text(HOOKS, encoding="utf-8")
    alone = "[generation]\nwith-security-parameters = false\n"  # a made-up cookie beside the token is 401, always
    (folder / "schemathesis.toml").write_text(alone + settings, encoding="utf-8")
    token = web.token(name=folder.name.replace("_", "-"))
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{web.url}/openapi.json"),
            *("-H", f"Authorization: Bearer {token}", "--tls-verify", str(web.authority)),
            *("--include-path-regex", "^/(dicom-web|wado|openapi|healthz|changes)"),
            *("--exclude-path", "/dicom-web/events"),  # it has no end
            *("--exclude-checks", "negative_data_rejection,positive_data_acceptance,missing_required_header"),
            *("--warnings", "off", "--no-shrink", "--max-time", str(SECONDS // 2)),
            *arguments,
        ],
        cwd=folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS * 10,
        check=False,
    )


@pytest.mark.parametrize(
    "settings",
    ["", f'[parameters]\n"path.study" = "{STUDY}"\n"path.series" = "{SERIES}"\n"path.instance" = "{INSTANCE}"\n'],
    ids=["of nothing that is here", "of what is here"],
)
def test_a_stranger_finds_no_answer_that_the_description_does_not_have(tmp_path: Path, web: Web, settings: str) -> None:
    ran = schemathesis(tmp_path, web, settings=settings)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout
    with web.client(web.token(name=f"after-{len(settings)}")) as client:
        answer: httpx.Response = client.get(f"/dicom-web/studies/{STUDY}/metadata")
        assert answer.status_code == 200
