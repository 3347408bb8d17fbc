"""Hypothesis strategies for everything that travels."""

from dataclasses import MISSING, fields

from hypothesis import strategies as st

from leadglass.wire.command_set import ELEMENTS
from leadglass.wire.items import CommonExtended, Role, UserIdentity
from leadglass.wire.messages import FIELD_OF, Command
from leadglass.wire.pdu import (
    PDU,
    PDV,
    Abort,
    AssociateAccept,
    AssociateRequest,
    PData,
    ProposedContext,
    Refusal,
    Rejection,
    ReleaseRP,
    ReleaseRQ,
)

uids = st.from_regex(r"[0-9.]{1,64}", fullmatch=True)
ae_titles = st.from_regex(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?", fullmatch=True)
version_names = st.from_regex(r"([!-~]([ -~]{0,14}[!-~])?)?", fullmatch=True)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u8 = st.integers(0, 255)
context_ids = st.integers(0, 127).map(lambda number: 2 * number + 1)
roles = st.builds(Role, st.booleans(), st.booleans())
common = st.builds(CommonExtended, uids, st.lists(uids, max_size=3).map(tuple), u8)
identities = st.builds(UserIdentity, st.integers(1, 5), st.binary(max_size=40), st.binary(max_size=40), st.booleans())
windows = st.none() | st.tuples(u16, u16)


@st.composite
def proposed(draw: st.DrawFn) -> tuple[ProposedContext, ...]:
    ids = draw(st.lists(context_ids, min_size=1, max_size=5, unique=True))
    return tuple(ProposedContext(each, draw(uids), tuple(draw(st.lists(uids, min_size=1, max_size=3)))) for each in ids)


requests = st.builds(
    AssociateRequest,
    called_ae_title=ae_titles,
    calling_ae_title=ae_titles,
    contexts=proposed(),
    max_length=u32,
    implementation_class_uid=uids,
    implementation_version_name=version_names,
    async_ops=windows,
    roles=st.dictionaries(uids, roles, max_size=3),
    extended=st.dictionaries(uids, st.binary(max_size=20), max_size=3),
    common_extended=st.dictionaries(uids, common, max_size=3),
    user_identity=st.none() | identities,
    application_context=uids,
    protocol_version=u16,
)
acceptances = st.builds(
    AssociateAccept,
    called_ae_title=ae_titles,
    calling_ae_title=ae_titles,
    contexts=st.dictionaries(context_ids, uids | st.sampled_from(Refusal), max_size=5),
    max_length=u32,
    implementation_class_uid=uids,
    implementation_version_name=version_names,
    async_ops=windows,
    roles=st.dictionaries(uids, roles, max_size=3),
    extended=st.dictionaries(uids, st.binary(max_size=20), max_size=3),
    user_identity_response=st.none() | st.binary(max_size=40),
    application_context=uids,
    protocol_version=u16,
)
pdvs = st.builds(PDV, context_ids, st.booleans(), st.booleans(), st.binary(max_size=50))
pdus: st.SearchStrategy[PDU] = st.one_of(
    requests,
    acceptances,
    st.builds(Rejection, u8, u8, u8),
    st.builds(PData, st.lists(pdvs, min_size=1, max_size=4).map(tuple)),
    st.just(ReleaseRQ()),
    st.just(ReleaseRP()),
    st.builds(Abort, u8, u8),
)

_tags = st.lists(u32, max_size=4).map(tuple)
_comments = st.from_regex(r"([!-\[\]-~]([ -\[\]-~]{0,62}[!-\[\]-~])?)?", fullmatch=True)


def _field(name: str) -> st.SearchStrategy[object]:
    if name == "error_comment":
        return _comments
    if name in ("offending_element", "attribute_identifier_list"):
        return _tags
    if name.endswith("_uid"):
        return uids
    if name in ("move_destination", "move_originator_ae_title"):
        return ae_titles
    assert name in ELEMENTS
    return u16


def _commands_of(kind: type[Command]) -> st.SearchStrategy[Command]:
    values: dict[str, st.SearchStrategy[object]] = {}
    for field in fields(kind):
        strategy = _field(field.name)
        values[field.name] = strategy if field.default is MISSING else st.just(field.default) | strategy
    return st.builds(kind, **values)


commands: st.SearchStrategy[Command] = st.one_of([_commands_of(kind) for kind in FIELD_OF])
