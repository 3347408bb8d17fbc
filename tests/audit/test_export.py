"""An export is verified with the public key alone, and whatever was done to it shows."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.audit.checkpoint import Signer
from leadglass.audit.event import Event, Outcome
from leadglass.audit.export import Exported, export
from leadglass.audit.log import AuditLog
from leadglass.audit.merkle import leaf_hash
from leadglass.audit.proof import Proof, check_export
from leadglass.audit.reading import Selection
from leadglass.errors import BadInput, Corrupt
from tests.audit.conftest import Tampering

COUNT = 40


@pytest.fixture
def log(opened: Callable[..., AuditLog]) -> AuditLog:
    """Give a log of forty records about three studies."""
    log = opened()
    for number in range(COUNT):
        caller = "device:CT1" if number % 3 else "device:WS1"
        log.append(Event(Outcome.PERMITTED, "store", caller=caller, study_uid=f"1.2.{number % 3}", reason="é \n ‮"))
    return log


def exported(log: AuditLog, selection: Selection | None = None) -> list[bytes]:
    """Give an export's lines."""
    out = BytesIO()
    export(log, selection or Selection(), out.write)
    return out.getvalue().splitlines(keepends=True)


def checked(log: AuditLog, lines: list[bytes], *notes: str) -> Proof:
    return check_export(BytesIO(b"".join(lines)), log.verifier, notes)


def fault_of(log: AuditLog, lines: list[bytes], *notes: str) -> tuple[int, str]:
    fault = checked(log, lines, *notes).fault
    assert fault is not None
    return fault.sequence, fault.what


def changed(line: bytes) -> bytes:
    """Change a record's caller and make its hash fit again."""
    body = line[line.index(b'"record":') + 9 : -2].replace(b"device:", b"device;")
    return b'{"leaf":"' + b64encode(leaf_hash(body)) + b'","record":' + body + b"}\n"


# --- whole exports --------------------------------------------------------------


def test_a_whole_export_is_right_and_says_what_it_covers(log: AuditLog) -> None:
    found = checked(log, exported(log), log.checkpoint())
    assert (found.ok, found.records, found.omitted, found.first, found.last, found.size) == (True, 40, 0, 1, 40, 40)
    assert found.compared == 1
    assert found.root == log.verify().root


def test_the_bytes_of_every_record_are_those_of_the_log(log: AuditLog) -> None:
    bodies = [re.sub(rb'^\{"leaf":"[^"]*","record":|\}\n$', b"", line).decode() for line in exported(log)[1:-2]]
    with log.reader() as reader:
        assert bodies == [row.body for row in reader.after(0, 100)]
    assert all(isinstance(json.loads(line), dict) for line in exported(log))


def test_an_empty_log_can_be_exported(opened: Callable[..., AuditLog]) -> None:
    log = opened()
    found = checked(log, exported(log))
    assert (found.ok, found.records, found.size) == (True, 0, 0)


HANDS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "removed": (lambda lines: lines[:10] + lines[11:], 10, "missing"),
    "the first removed": (lambda lines: lines[:1] + lines[2:], 1, "missing"),
    "the last removed": (lambda lines: lines[:40] + lines[41:], 40, "missing"),
    "several removed": (lambda lines: lines[:10] + lines[15:], 10, "missing"),
    "changed": (lambda lines: [*lines[:10], lines[10].replace(b"device:", b"device;"), *lines[11:]], 10, "changed"),
    "changed with its hash": (lambda lines: [*lines[:10], changed(lines[10]), *lines[11:]], 10, "changed"),
    "the last changed with its hash": (lambda lines: [*lines[:40], changed(lines[40]), *lines[41:]], 40, "changed"),
    "reordered": (lambda lines: [*lines[:10], lines[11], lines[10], *lines[12:]], 10, "missing"),
    "repeated": (lambda lines: [*lines[:11], lines[10], *lines[11:]], 10, "again"),
    "put in": (lambda lines: [*lines[:11], changed(lines[10]), *lines[11:]], 10, "put in"),
    "cut off": (lambda lines: lines[:30], 30, "cut off"),
    "cut off in a line": (lambda lines: [*lines[:30], lines[30][:20]], 30, "cut off"),
    "cut off before the signed head": (lambda lines: lines[:41], 41, "cut off"),
    "cut off before the signed end": (lambda lines: lines[:42], 40, "cut off"),
    "the middle cut out, the end kept": (lambda lines: lines[:30] + lines[41:], 30, "cut off"),
    "said to be shorter": (
        lambda lines: [lines[0].replace(b'"size":40', b'"size":29'), *lines[:30][1:], *lines[41:]], 30, "cut off",
    ),
    "said to be a selection": (
        lambda lines: [lines[0].replace(b'"selection":{}', b'"selection":{"study":"1.2.0"}'), *lines[1:]], 0, "changed",
    ),
    "something behind the end": (lambda lines: [*lines, lines[1]], 41, "put in"),
    "nonsense in it": (lambda lines: [*lines[:10], b"{}\n", *lines[10:]], 10, "not there"),
}  # fmt: skip


@pytest.mark.parametrize("hand", HANDS)
def test_what_was_done_to_an_export_shows_and_the_first_record_is_named(hand: str, log: AuditLog) -> None:
    act, sequence, word = HANDS[hand]
    named, what = fault_of(log, act(exported(log)))
    assert named == sequence
    assert word in what


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_can_be_changed_without_notice(data: st.DataObject, log: AuditLog) -> None:
    whole = bytearray(b"".join(exported(log)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        found = check_export(BytesIO(bytes(whole)), log.verifier)
    except BadInput:
        return  # not even an export any more
    assert not found.ok


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_end_can_be_cut_off_without_notice(data: st.DataObject, log: AuditLog) -> None:
    whole = b"".join(exported(log))
    kept = data.draw(st.integers(1, len(whole) - 1))
    try:
        found = check_export(BytesIO(whole[:kept]), log.verifier)
    except BadInput:
        return
    assert not found.ok


def test_another_key_does_not_verify_it(log: AuditLog) -> None:
    lines = exported(log)
    with pytest.raises(BadInput, match="the key is of"):
        check_export(BytesIO(b"".join(lines)), Signer("another", bytes(32)).verifier)
    with_its_name = Signer(log.verifier.origin, bytes(32)).verifier
    found = check_export(BytesIO(b"".join(lines)), with_its_name)
    assert found.fault is not None
    assert "did not sign" in found.fault.what


# --- heads kept elsewhere -------------------------------------------------------


def test_an_old_export_does_not_contain_a_head_that_was_signed_later(log: AuditLog) -> None:
    old = exported(log)
    log.append(Event(Outcome.DONE, "stop"))
    assert checked(log, old).ok
    sequence, what = fault_of(log, old, log.checkpoint())
    assert sequence == 41
    assert "older than that head, or the log was put back" in what


def test_a_rewritten_log_that_was_signed_anew_does_not_contain_an_earlier_head(
    log: AuditLog, opened: Callable[..., AuditLog], tampering: Tampering
) -> None:
    kept = log.checkpoint()
    log.close()
    tampering.run("DELETE FROM record", "DELETE FROM checkpoint", "UPDATE head SET size = 0, peaks = x''")
    log.checkpoint_path.unlink()
    forged = opened()
    for _ in range(COUNT + 5):
        forged.append(Event(Outcome.PERMITTED, "store"))
    lines = exported(forged)
    assert checked(forged, lines).ok
    sequence, what = fault_of(forged, lines, kept)
    assert sequence == 1
    assert "signed at record 40" in what


def test_what_is_no_head_of_this_log_is_no_proof(log: AuditLog) -> None:
    with pytest.raises(Corrupt):
        checked(log, exported(log), "nonsense")


# --- parts ----------------------------------------------------------------------


@pytest.mark.parametrize("study", ["1.2.0", "1.2.1", "1.2.2", "1.2.3"])
def test_a_selection_is_right_and_says_what_it_leaves_out(study: str, log: AuditLog) -> None:
    heads = [log.checkpoint()]
    lines = exported(log, Selection(study_uid=study))
    found = checked(log, lines, *heads)
    wanted = [record.sequence for record in log.records(study_uid=study)]
    assert found.ok
    assert (found.records, found.omitted) == (len(wanted), COUNT - len(wanted))
    assert found.selection == {"study": study}
    assert b"1.2.9" not in b"".join(lines)


def test_every_head_that_was_ever_signed_can_be_compared_with_a_part(
    log: AuditLog, path: object, tampering: Tampering
) -> None:
    with log.reader() as reader:
        notes = [note for _, note in filter(None, (reader.newest_note(size) for size in reader.heads()))]
    assert len(notes) > 3
    found = checked(log, exported(log, Selection(study_uid="1.2.1")), *notes)
    assert found.ok
    assert found.compared == len(notes)


def test_since_leaves_out_the_beginning(log: AuditLog) -> None:
    middle = log.records()[20].time
    found = checked(log, exported(log, Selection(since=middle)))
    assert (found.ok, found.first, found.last, found.omitted) == (True, 21, 40, 20)


def test_a_record_cannot_be_turned_into_one_that_was_left_out(log: AuditLog) -> None:
    lines = exported(log, Selection(study_uid="1.2.1"))
    at = next(number for number, line in enumerate(lines) if line.startswith(b'{"leaf"'))
    leaf = json.loads(lines[at])["leaf"]
    sequence = json.loads(lines[at])["record"]["sequence"]
    lines[at] = json.dumps({"omitted": [sequence, sequence], "hashes": [leaf]}, separators=(",", ":")).encode() + b"\n"
    _, what = fault_of(log, lines)
    assert "signed end does not fit" in what


def test_a_log_that_was_touched_is_not_exported_as_if_it_were_whole(log: AuditLog, tampering: Tampering) -> None:
    tampering.run("UPDATE record SET body = replace(body, 'device:', 'device;') WHERE sequence = 7")
    with pytest.raises(Corrupt, match="audit verify"):
        exported(log)


def test_it_says_how_much_it_gave(log: AuditLog) -> None:
    out = BytesIO()
    assert export(log, Selection(caller="WS1"), out.write) == Exported(14, 26, 40)
