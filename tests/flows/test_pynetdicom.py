"""pynetdicom's clients against a served archive, over mutual TLS and in the plaintext lane."""

import pytest
from pydicom.uid import UID

from tests.flows.conftest import Sample, Site
from tests.peers.dataset import instance
from tests.peers.scu import (
    PATIENT_FIND,
    PATIENT_GET,
    STUDY_FIND,
    STUDY_GET,
    STUDY_MOVE,
    UNCOMPRESSED,
    VERIFICATION,
    Collected,
    Way,
    acceptor,
    association,
    find,
    identifier,
    last_status,
    send,
)
from tests.peers.tls import server_context

LANES = pytest.mark.parametrize("tls", [True, False], ids=["tls", "plaintext"])


def _way(site: Site, *, tls: bool) -> Way:
    return site.tls if tls else site.plain


@LANES
def test_echo(site: Site, tls: bool) -> None:
    with association(_way(site, tls=tls), [(VERIFICATION, UNCOMPRESSED)]) as assoc:
        assert assoc.is_established
        assert assoc.send_c_echo().Status == 0x0000


@LANES
def test_store_then_find_then_get_gives_the_same_bytes(site: Site, mr: Sample, tls: bool) -> None:
    way = _way(site, tls=tls)
    sent = instance(mr.path, mr.sop_class_uid, mr.sop_instance_uid)
    with association(way, [(mr.sop_class_uid, (sent.transfer_syntax_uid,))]) as assoc:
        assert send(assoc, sent) == 0x0000
    keys = identifier(QueryRetrieveLevel="STUDY", PatientID=mr.patient_id, StudyInstanceUID="")
    with association(way, [(STUDY_FIND, UNCOMPRESSED), (PATIENT_FIND, UNCOMPRESSED)]) as assoc:
        for model in (STUDY_FIND,):
            status, matches = find(assoc, keys, model)
            assert status == 0x0000
            assert [match.StudyInstanceUID for match in matches] == [mr.study_uid]
    collected = Collected()
    wanted = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=mr.study_uid)
    contexts = [(STUDY_GET, UNCOMPRESSED), (mr.sop_class_uid, (sent.transfer_syntax_uid,))]
    with association(way, contexts, get=collected) as assoc:
        last = last_status(assoc.send_c_get(wanted, UID(STUDY_GET)))
    assert last.Status == 0x0000
    assert collected.instances[mr.sop_instance_uid] == sent


@LANES
def test_move_to_a_registered_receiver_gives_the_same_bytes(stocked: Site, mr: Sample, tls: bool) -> None:
    sent = instance(mr.path, mr.sop_class_uid, mr.sop_instance_uid)
    wanted = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=mr.study_uid)
    port = stocked.dest_port if tls else stocked.olddest_port
    context = server_context(stocked.dest) if tls else None
    with acceptor(
        "DEST" if tls else "OLDDEST", [(mr.sop_class_uid, (sent.transfer_syntax_uid,))], port=port, tls=context
    ) as collected:
        with association(_way(stocked, tls=tls), [(STUDY_MOVE, UNCOMPRESSED)]) as assoc:
            last = last_status(assoc.send_c_move(wanted, "DEST" if tls else "OLDDEST", UID(STUDY_MOVE)))
        assert last.Status == 0x0000
        assert (last.NumberOfCompletedSuboperations, last.NumberOfFailedSuboperations or 0) == (1, 0)
        assert collected.instances[mr.sop_instance_uid] == sent


def test_get_by_patient_root(stocked: Site, ct: Sample) -> None:
    collected = Collected()
    wanted = identifier(QueryRetrieveLevel="PATIENT", PatientID=ct.patient_id)
    with association(
        stocked.tls, [(PATIENT_GET, UNCOMPRESSED), (ct.sop_class_uid, UNCOMPRESSED)], get=collected
    ) as assoc:
        last = last_status(assoc.send_c_get(wanted, UID(PATIENT_GET)))
    assert last.Status == 0x0000
    assert set(collected.instances) == {ct.sop_instance_uid}


def test_a_receiver_that_is_down_fails_the_move_and_not_the_archive(stocked: Site, ct: Sample) -> None:
    wanted = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=ct.study_uid)
    with association(stocked.plain, [(STUDY_MOVE, UNCOMPRESSED), (VERIFICATION, UNCOMPRESSED)]) as assoc:
        last = last_status(assoc.send_c_move(wanted, "OLDDEST", UID(STUDY_MOVE)))
        assert last.Status in {0xA702, 0xB000, 0xC000} or 0xC000 <= last.Status <= 0xCFFF
        assert assoc.send_c_echo().Status == 0x0000
