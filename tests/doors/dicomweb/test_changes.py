"""The change feed and its events: what is told, to whom, for how long."""

import json
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from leadglass.doors.dicomweb import changes
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.policy.view import View
from tests.callers import device
from tests.doors.dicomweb.qidohouse import House, opened
from tests.doors.dicomweb.stowhouse import RELATED, file_of, multipart
from tests.peers.running import wait_until
from tests.peers.web import Web, serving
from tests.vault.sets import instance, store

CHANGES = "/dicom-web/changes"
EVENTS = "/dicom-web/events"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    with opened(tmp_path_factory.mktemp("changes") / "archive", changes.routes) as house:
        for number in (1, 2):
            store(
                house.vault,
                instance(StudyInstanceUID=f"1.{number}", SOPInstanceUID=f"1.{number}.1.1"),
                origin=f"CT{number}",
            )
        yield house


def test_the_feed_says_what_happened_and_where_to_go_on(house: House) -> None:
    told = house.get(f"{CHANGES}?limit=3").told
    assert [each["sequence"] for each in told["changes"]] == [1, 2, 3]
    first, second, _ = told["changes"]
    assert (first["kind"], first["study"], "instance" in first) == ("study-new", "1.1", False)
    assert (second["kind"], second["instance"]) == ("instance-stored", "1.1.1.1")
    assert second["moment"].endswith("+00:00")
    assert (told["next"], told["last"]) == ("3", False)
    rest = house.get(f"{CHANGES}?since=3").told
    assert ([each["sequence"] for each in rest["changes"]], rest["next"], rest["last"]) == ([4], "4", True)
    assert house.get(f"{CHANGES}?since=now").told == {"changes": [], "next": "4", "last": True}


def test_who_sees_some_studies_gets_no_numbers(house: House) -> None:
    some = device("REF", Action.FIND, scope=Scope.where(Field.SOURCE, "CT2"))
    told = house.get(CHANGES, caller=some).told
    assert [each["study"] for each in told["changes"]] == ["1.2", "1.2"]
    assert all("sequence" not in each for each in told["changes"])
    assert house.get(f"{CHANGES}?since={told['next']}", caller=some).told["changes"] == []
    assert house.get(f"{CHANGES}?since=1", caller=some).status == 400


@pytest.mark.parametrize(
    "query",
    ["since=-1", "since=x", "since=99", "since=1&since=2", "limit=0", "limit=10001", "limit=x", "foo=1",
     f"since={'A' * 200}", "limit=1&limit=1"],
)  # fmt: skip
def test_what_is_no_cursor_and_no_limit_is_refused(house: House, query: str) -> None:
    assert house.get(f"{CHANGES}?{query}").status == 400


def test_who_may_not_query_hears_nothing(house: House) -> None:
    assert house.get(CHANGES, caller=device("CT1", Action.STORE)).status == 403
    blind = device("RES", Action.FIND, view=View(frozenset({0x0020000D})))
    assert house.get(CHANGES, caller=blind).status == 403


def test_each_look_is_on_record(house: House) -> None:
    house.get(CHANGES)
    event = house.stow.events("permitted")[-1]
    assert (event.action, event.detail) == ("find", {"asked": "changes"})


# --- events, over the wire --------------------------------------------------------


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    with serving(tmp_path_factory.mktemp("events")) as running:
        yield running


class Listener:
    """Listens in a thread and keeps what it heard."""

    def __init__(self, web: Web, token: str, **headers: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.status = 0
        self.is_over = False
        self._web, self._token, self._headers = web, token, headers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        wait_until(lambda: self.status != 0 or self.is_over, "an answer")

    def _listen(self) -> None:
        fields = {name.replace("_", "-"): value for name, value in self._headers.items()}
        try:
            with (
                self._web.client(self._token) as client,
                client.stream("GET", EVENTS, headers={"accept": "text/event-stream", **fields}) as answer,
            ):
                self.status = answer.status_code
                for event in _parsed(answer.iter_lines()):
                    self.events.append(event)
                    if self._stop.is_set():
                        return
        except httpx.HTTPError:
            pass
        finally:
            self.is_over = True

    def told(self) -> list[tuple[str, str]]:
        return [(each["event"], each["data"]["study"]) for each in self.events if "data" in each]

    def close(self) -> None:
        self._stop.set()


def _parsed(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if not line:
            yield event
            event = {}
        elif name == "data":
            event["data"] = json.loads(value)
        else:
            event[name] = value


def send(web: Web, token: str, study: str, number: int = 1) -> None:
    one = file_of(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1", SOPInstanceUID=f"{study}.1.{number}")
    with web.client(token) as client:
        answer = client.post("/dicom-web/studies", content=multipart(one), headers={"content-type": RELATED})
        assert answer.status_code == 200, answer.text


def test_who_listens_hears_of_studies_as_they_come_and_goes_on_where_it_was(web: Web) -> None:
    token = web.token(name="listener")
    listener = Listener(web, token)
    assert listener.status == 200
    send(web, token, "1.7")
    wait_until(lambda: ("study-new", "1.7") in listener.told(), "the new study")
    (new,) = [each for each in listener.events if each.get("event") == "study-new"]
    assert new["data"] == {"study": "1.7", "stored": 1}
    listener.close()
    send(web, token, "1.7", 2)
    send(web, token, "1.8")
    web.leadglass.do("delete", "--study", "1.8", "--yes")
    late = Listener(web, token, last_event_id=str(new["id"]))
    wait_until(lambda: ("study-deleted", "1.8") in late.told(), "the deletion")
    assert late.told() == [("study-changed", "1.7"), ("study-deleted", "1.8")]
    late.close()


def test_a_token_that_is_revoked_ends_the_stream(web: Web) -> None:
    token = web.token(name="shortlived")
    listener = Listener(web, token)
    assert listener.status == 200
    web.leadglass.do("token", "revoke", "shortlived")
    wait_until(lambda: listener.is_over, "the end of the stream")
    again = Listener(web, token)
    assert again.status == 401


def test_so_many_of_one_caller_may_listen_and_no_more(web: Web) -> None:
    token = web.token(name="many")
    listeners = [Listener(web, token) for _ in range(4)]
    assert [each.status for each in listeners] == [200] * 4
    assert Listener(web, token).status == 503
    with web.client(token) as client:
        assert client.get(EVENTS, headers={"accept": "application/json"}).status_code == 406
        assert client.get(f"{EVENTS}?since=1").status_code == 400
    for each in listeners:
        each.close()


def test_nobody_listens_without_a_token(web: Web, tmp_path: Path) -> None:
    with web.client() as client:
        assert client.get(EVENTS).status_code == 401
        assert client.get(CHANGES).status_code == 401
