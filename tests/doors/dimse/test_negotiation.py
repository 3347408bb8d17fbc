from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom import sop_classes
from leadglass.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000,
    JPEG_BASELINE,
)
from leadglass.doors.dimse.negotiation import (
    Services,
    answer,
    asked_for,
    extras,
    for_identifiers,
    for_sending,
    for_storing,
)
from leadglass.policy.action import DEVICE_ACTIONS, Action
from leadglass.wire.items import Role
from leadglass.wire.pdu import AssociateRequest, ProposedContext, Refusal

CT = "1.2.840.10008.5.1.4.1.1.2"
PRIVATE = "1.2.826.0.1.3680043.9.9999.7"
BOTH = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


def request(
    *contexts: tuple[str, tuple[str, ...]],
    roles: dict[str, Role] | None = None,
    extended: dict[str, bytes] | None = None,
) -> AssociateRequest:
    return AssociateRequest(
        called_ae_title="LEADGLASS",
        calling_ae_title="CT1",
        contexts=tuple(ProposedContext(2 * n + 1, uid, syntaxes) for n, (uid, syntaxes) in enumerate(contexts)),
        roles=roles or {},
        extended=extended or {},
    )


def test_each_class_asks_for_its_action() -> None:
    proposed = request(
        (sop_classes.VERIFICATION, BOTH),
        (sop_classes.STUDY_ROOT_FIND, BOTH),
        (sop_classes.PATIENT_ROOT_GET, BOTH),
        (sop_classes.PATIENT_ROOT_MOVE, BOTH),
        (CT, BOTH),
        ("1.2.3", BOTH),
    )
    assert asked_for(proposed, Services()) == {Action.ECHO, Action.FIND, Action.GET, Action.MOVE, Action.STORE}


def test_a_storage_class_in_the_scp_role_asks_to_get_and_not_to_store() -> None:
    proposed = request((CT, BOTH), roles={CT: Role(scu=False, scp=True)})
    assert asked_for(proposed, Services()) == {Action.GET}
    accepted = answer(proposed, frozenset({Action.GET}), Services())
    assert accepted.roles == {CT: Role(scu=False, scp=True)}
    assert accepted.contexts == {1: EXPLICIT_VR_LITTLE_ENDIAN}


def test_a_role_that_was_not_granted_is_turned_down_and_the_other_kept() -> None:
    proposed = request((CT, BOTH), roles={CT: Role(scu=True, scp=True)})
    assert answer(proposed, frozenset({Action.GET}), Services()).roles == {CT: Role(scu=False, scp=True)}
    assert answer(proposed, frozenset({Action.STORE}), Services()).roles == {CT: Role(scu=True, scp=False)}
    assert answer(proposed, frozenset(), Services()).roles == {}


def test_a_class_nobody_serves_is_not_supported_and_one_not_granted_is_rejected() -> None:
    proposed = request(("1.2.3", BOTH), (CT, BOTH), (CT, ()))
    contexts = answer(proposed, frozenset({Action.FIND}), Services()).contexts
    assert contexts[1] is Refusal.ABSTRACT_SYNTAX_NOT_SUPPORTED
    assert contexts[3] is Refusal.USER_REJECTION
    assert answer(proposed, frozenset({Action.STORE}), Services()).contexts[5] is (
        Refusal.TRANSFER_SYNTAXES_NOT_SUPPORTED
    )


def test_private_storage_classes_are_taken_in_when_the_operator_listed_them() -> None:
    proposed = request((PRIVATE, BOTH))
    assert asked_for(proposed, Services()) == frozenset()
    assert asked_for(proposed, Services(frozenset({PRIVATE}))) == {Action.STORE}


def test_the_senders_order_holds_but_for_implicit_before_explicit() -> None:
    assert for_storing((JPEG_BASELINE, EXPLICIT_VR_LITTLE_ENDIAN)) == JPEG_BASELINE
    assert for_storing((EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)) == EXPLICIT_VR_BIG_ENDIAN
    assert for_storing((IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)) == EXPLICIT_VR_LITTLE_ENDIAN
    assert for_storing((IMPLICIT_VR_LITTLE_ENDIAN, JPEG_2000)) == IMPLICIT_VR_LITTLE_ENDIAN
    assert for_storing(()) is None


def test_a_receiver_is_sent_what_anything_can_become() -> None:
    assert for_sending((JPEG_BASELINE, *BOTH)) == EXPLICIT_VR_LITTLE_ENDIAN
    assert for_sending((JPEG_BASELINE, IMPLICIT_VR_LITTLE_ENDIAN)) == IMPLICIT_VR_LITTLE_ENDIAN
    assert for_sending((JPEG_BASELINE,)) == JPEG_BASELINE


def test_a_context_for_both_ways_gets_what_we_can_send_only_where_we_may_send() -> None:
    proposed = request((CT, (JPEG_2000, *BOTH)), roles={CT: Role(scu=True, scp=True)})
    both = answer(proposed, frozenset({Action.STORE, Action.GET}), Services())
    assert (both.contexts[1], both.roles[CT]) == (EXPLICIT_VR_LITTLE_ENDIAN, Role(scu=True, scp=True))
    assert answer(proposed, frozenset({Action.STORE}), Services()).contexts[1] == JPEG_2000
    assert answer(proposed, frozenset({Action.GET}), Services()).contexts[1] == EXPLICIT_VR_LITTLE_ENDIAN


def test_identifiers_are_never_negotiated_in_what_we_do_not_read() -> None:
    assert for_identifiers((JPEG_BASELINE, PRIVATE)) is None
    assert for_identifiers((IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)) == EXPLICIT_VR_LITTLE_ENDIAN


def test_options_are_answered_as_asked_and_no_further() -> None:
    find, get = sop_classes.STUDY_ROOT_FIND, sop_classes.STUDY_ROOT_GET
    proposed = request(
        (find, BOTH), (get, BOTH), (CT, BOTH), extended={find: b"\1\1\1\1\1\1\1", get: b"\1\1", CT: b"\2\0\3\0\1\0"}
    )
    accepted = answer(proposed, DEVICE_ACTIONS, Services())
    assert accepted.extended == {find: b"\1\1\0\0\0\1\1", get: b"\1\0", CT: b"\2\0\3\0\0"}
    assert extras(proposed, find, Services()).relational
    none = request((find, BOTH), extended={find: b"\0"})
    assert answer(none, DEVICE_ACTIONS, Services()).extended == {find: b"\0"}
    assert not extras(none, find, Services()).relational
    assert not extras(request((find, BOTH)), find, Services()).relational


UIDS = st.one_of(
    st.sampled_from([CT, sop_classes.VERIFICATION, sop_classes.STUDY_ROOT_FIND, sop_classes.STUDY_ROOT_GET, *BOTH]),
    st.text("0123456789.", max_size=70),
    st.text(max_size=10),
)


@given(
    contexts=st.lists(st.tuples(UIDS, st.lists(UIDS, max_size=4).map(tuple)), max_size=6),
    roles=st.dictionaries(UIDS, st.builds(Role, scu=st.booleans(), scp=st.booleans()), max_size=4),
    extended=st.dictionaries(UIDS, st.binary(max_size=9), max_size=4),
    offered=st.frozensets(st.sampled_from(sorted(DEVICE_ACTIONS))),
)
def test_whatever_is_proposed_the_answer_is_proper(
    contexts: list[tuple[str, tuple[str, ...]]],
    roles: dict[str, Role],
    extended: dict[str, bytes],
    offered: frozenset[Action],
) -> None:
    proposed = request(*contexts, roles=roles, extended=extended)
    accepted = answer(proposed, offered & asked_for(proposed, Services()), Services())
    assert set(accepted.contexts) == {context.id for context in proposed.contexts}
    for context in proposed.contexts:
        chosen = accepted.contexts[context.id]
        if isinstance(chosen, str):
            assert offered
            assert chosen in context.transfer_syntaxes
    for uid, role in accepted.roles.items():
        assert not (role.scu and not roles[uid].scu)
        assert not (role.scp and not roles[uid].scp)
    for uid, information in accepted.extended.items():
        assert len(information) <= len(extended[uid])
