"""Devices in words: addresses of pages, what is wrong today, drafts, and an explanation for whatever arrives."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom.uids import parse_ae_title
from leadglass.doors.pages.devices.draft import KINDS, TAKEN, Draft, look_at
from leadglass.doors.pages.devices.explaining import Place, explain
from leadglass.doors.pages.devices.words import RIGHTS, ae_title_of, in_words, marks_of, path_of
from leadglass.errors import BadInput
from leadglass.identity.associations import Why
from leadglass.identity.contacts import Arrival, What
from leadglass.identity.device import Device
from leadglass.policy.action import DEVICE_ACTIONS, Action
from leadglass.wire import tls

TODAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CT1 = Device.parse("CT1", ["10.1.2.3"])
PLACE = Place("LEADGLASS", 2762, 104)

printable = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), min_size=1, max_size=16
)
titles = printable.map(str.strip).filter(bool)


@given(titles)
def test_every_ae_title_has_a_path_of_its_own_that_leads_back_to_it(title: str) -> None:
    path = path_of(parse_ae_title(title))
    assert re.fullmatch(r"/devices/[A-Za-z0-9_~-]+", path), "no other character has a meaning in an address"
    assert path not in {"/devices/new", "/devices/ca.pem"}
    assert ae_title_of(path.removeprefix("/devices/")) == title


@given(st.text(max_size=300))
def test_what_is_no_path_of_ours_is_nobodys(word: str) -> None:
    assert len(ae_title_of(word)) <= 64


def test_every_right_of_a_device_has_words_or_is_not_served() -> None:
    assert {action for action, _, _ in RIGHTS} == DEVICE_ACTIONS - {Action.WORKLIST}
    assert in_words(DEVICE_ACTIONS).count(",") == len(DEVICE_ACTIONS) - 1


@pytest.mark.parametrize(
    ("device", "said", "kind"),
    [
        (Device.parse("A", ["10.1.2.3"]), "No certificate yet", "warn"),
        (Device.parse("A", ["10.1.2.3"], plaintext=True, until="2026-11-23"), "1 day left", "bad"),
        (Device.parse("A", ["10.1.2.3"], plaintext=True, until="2026-11-22"), "0 days left", "bad"),
        (Device.parse("A", ["10.1.2.3"], plaintext=True, until="2026-11-21"), "ended 2026-11-21", "bad"),
        (Device.parse("A", ["10.1.2.3"], bulk="nightly", bulk_until="2026-11-21"), "Bulk (ended)", ""),
        (Device.parse("A", ["8.8.8.8"]), "turned away", "warn"),
    ],
)
def test_what_is_to_be_seen_of_a_device_is_marked(device: Device, said: str, kind: str) -> None:
    marks = marks_of(device, NOW, ())
    assert any(said in mark.text and mark.kind == kind for mark in marks), marks


@pytest.mark.parametrize(
    ("days", "kind"), [(400, "good"), (29, "warn"), (0, "bad"), (-3, "bad")], ids=["good", "soon", "now", "ended"]
)
def test_a_certificate_is_green_yellow_or_red_by_its_end(days: int, kind: str) -> None:
    device = Device(
        "A", (ip_network("10.1.2.3/32"),), frozenset({Action.STORE}), fingerprint="f" * 64,
        certificate_until=NOW + timedelta(days=days),
    )  # fmt: skip
    assert marks_of(device, NOW, ())[0].kind == kind


# --- drafts -----------------------------------------------------------------------------

GOOD = Draft("modality", "CT1", "10.1.2.3", allow=("store",), speaks="tls")
WORKSTATION = Draft("workstation", "WS1", "10.1.2.3", "10.1.2.3", "104", ("move",), "tls")


@pytest.mark.parametrize(
    ("draft", "step", "field", "words"),
    [
        (Draft(), 1, "kind", "Choose"),
        (Draft("x"), 1, "kind", "Choose"),
        (Draft("modality"), 2, "ae", "Write the AE title"),
        (Draft("modality", "A\\B"), 2, "ae", "backslash"),
        (Draft("modality", "CT1"), 2, "addresses", "Write the IP address"),
        (Draft("modality", "CT1", "nowhere"), 2, "addresses", "no address"),
        (Draft("modality", "CT1", "0.0.0.0/0"), 2, "addresses", "everybody"),
        (Draft("modality", "CT1", "10.1.2.3", "host"), 2, "port", "port too"),
        (Draft("modality", "CT1", "10.1.2.3", "", "104"), 2, "host", "host too"),
        (Draft("modality", "CT1", "10.1.2.3", "host", "99999"), 2, "port", "1 to 65535"),
        (Draft("modality", "CT1", "10.1.2.3", "host", "x"), 2, "port", "1 to 65535"),
        (Draft("modality", "CT1", "10.1.2.3", "a b", "104"), 2, "host", "no host name"),
        (Draft("modality", "CT1", "10.1.2.3"), 3, "allow", "at least one"),
        (Draft("workstation", "WS", "10.1.2.3", allow=("move",)), 3, "allow", "Go back one step"),
        (Draft("modality", "CT1", "10.1.2.3", allow=("store",), bulk_until="2027-01-01"), 3, "bulk", "Write why"),
        (Draft("modality", "CT1", "10.1.2.3", allow=("store",)), 4, "speaks", "Choose"),
        (Draft("modality", "CT1", "10.1.2.3", allow=("store",), speaks="plaintext"), 4, "until", "last day"),
        (Draft("modality", "CT1", "10.1.2.3", "", "", ("store",), "plaintext", "2027-01-01"), 4, "why", "Write why"),
        (Draft("modality", "CT1", "10.1.2.3", "", "", ("store",), "plaintext", "soon", "old"), 4, "until", "no day"),
        (Draft("modality", "CT1", "10.1.2.3", "", "", ("store",), "plaintext", "2020-01-01", "old"), 4, "until",
         "ended"),
        (Draft("modality", "CT1", "10.0.0.0/8", "", "", ("store",), "plaintext", "2027-01-01", "old"), 4, "addresses",
         "too wide"),
        (Draft("modality", "CT1", "10.1.2.3", "10.9.9.9", "104", ("store",), "plaintext", "2027-01-01", "old"), 4,
         "host", "not inside"),
        (Draft("modality", "CT1", "10.1.2.3", allow=("delete",), speaks="tls"), 4, "allow", "cannot be granted"),
        (Draft("modality", "CT1", "10.1.2.3", "", "", ("store",), "tls", bulk="x" * 201), 3, "bulk", "at most"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_beside_where_it_was_typed(draft: Draft, step: int, field: str, words: str) -> None:
    wrong = look_at(draft, [step], TODAY, is_taken=False)
    assert words in wrong.fields[field], wrong.fields
    assert "--" not in wrong.fields[field], "an option of the command line means nothing here"


@pytest.mark.parametrize("draft", [GOOD, WORKSTATION])
def test_what_is_right_passes_every_step_and_becomes_the_device(draft: Draft) -> None:
    assert not look_at(draft, (1, 2, 3, 4), TODAY, is_taken=False)
    assert draft.device(TODAY).ae_title == draft.ae
    assert Draft.of_fields(draft.carried()) == draft, "nothing is lost between the steps"


def test_an_ae_title_that_is_taken_is_said_so() -> None:
    assert look_at(GOOD, [2], TODAY, is_taken=True).fields["ae"] == TAKEN


def test_a_device_to_be_changed_comes_back_as_it_is() -> None:
    device = Device.parse(
        "OLDUS", ["10.1.2.3", "10.1.3.0/24"], ["store", "find"], plaintext=True, until="2027-01-01", host="10.1.2.3",
        port=104, bulk="nightly", bulk_until="2027-02-01", why_plaintext="Maker says so",
    )  # fmt: skip
    assert Draft.of_device(device).device(TODAY) == device


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.word)
def test_a_kind_proposes_what_it_needs_until_somebody_ticks_otherwise(kind: object) -> None:
    assert kind in KINDS
    for each in KINDS:
        assert Draft(each.word).with_usual_rights().allow == tuple(action.value for action in each.allow)
        assert Draft(each.word, allow=("echo",)).with_usual_rights().allow == ("echo",)


@given(st.dictionaries(st.sampled_from(sorted(GOOD.carried())), st.text(max_size=3_000)))
def test_whatever_a_form_holds_is_looked_at_without_a_fault(fields: dict[str, str]) -> None:
    draft = Draft.of_fields(fields)
    if not look_at(draft, (1, 2, 3, 4), TODAY, is_taken=False):
        assert draft.device(TODAY).ae_title == draft.ae
        return
    with suppress(BadInput):
        draft.device(TODAY)


# --- what arrives -----------------------------------------------------------------------


def arrival(what: What, why: str = "", said: str = "") -> Arrival:
    return Arrival(what, "10.1.2.3", NOW, calling="CT1", called="ORTHANC", why=why, said=said)


@pytest.mark.parametrize("why", [why for why in Why if why not in {Why.FAILED, Why.NO_LONGER}])
def test_every_kind_of_refusal_is_explained_with_its_fix(why: Why) -> None:
    explained = explain(arrival(What.REFUSED, why), CT1, PLACE)
    assert explained.kind == "bad"
    assert explained.fix
    assert "audit log" not in explained.fix


WIRE = [text for _, text in tls._REASONS] + list(tls._VERIFY.values())  # pyright: ignore[reportPrivateUsage]
OURS = {"host name", "another address", "for this use", "revoked", "asks for a certificate", "signature", "HTTP"}
"""Words of failures that no certificate of ours and no DICOM device can bring about at our door."""


@pytest.mark.parametrize("text", sorted(set(WIRE)))
def test_every_failure_of_tls_has_words_of_its_own(text: str) -> None:
    explained = explain(arrival(What.FAILED, said=f"TLS: {text}"), CT1, PLACE)
    assert explained.fix
    if not any(word in text for word in OURS):
        assert "came to nothing" not in explained.said, text


@pytest.mark.parametrize("what", What)
def test_whatever_arrives_is_explained(what: What) -> None:
    explained = explain(arrival(what, said="<script>"), CT1, PLACE)
    assert explained.said
    assert explained.kind in {"good", "warn", "bad"}


def test_a_device_that_may_not_test_hears_why_its_test_fails() -> None:
    sender = Device.parse("CT1", ["10.1.2.3"], ["store"])
    assert "C-ECHO is not among" in explain(arrival(What.LET_IN), sender, PLACE).fix
    assert not explain(arrival(What.LET_IN), CT1, PLACE).fix


def test_the_port_to_use_is_named_where_the_wrong_one_was_used() -> None:
    assert "2762" in explain(arrival(What.REFUSED, Why.NO_PLAINTEXT), CT1, PLACE).fix
    said = "protocol violation: The peer speaks TLS to a port for plain DICOM"
    assert "2762" in explain(arrival(What.FAILED, said=said), CT1, PLACE).fix
