"""The state machine of PS3.8 Table 9-10, as data.

Rule: this file holds the table and nothing else. Names are the Standard's. A
cell that is empty in the Standard is absent here. Where the Standard gives two
next states (AE-6, AR-8) both are listed and ``machine`` says which one it took.
"""

from collections.abc import Mapping
from enum import Enum, unique
from types import MappingProxyType
from typing import Final


@unique
class State(Enum):
    """PS3.8 Tables 9-1 to 9-5."""

    Sta1 = "Idle"
    Sta2 = "Transport connection open (Awaiting A-ASSOCIATE-RQ PDU)"
    Sta3 = "Awaiting local A-ASSOCIATE response primitive (from local user)"
    Sta4 = "Awaiting transport connection opening to complete (from local transport service)"
    Sta5 = "Awaiting A-ASSOCIATE-AC or A-ASSOCIATE-RJ PDU"
    Sta6 = "Association established and ready for data transfer"
    Sta7 = "Awaiting A-RELEASE-RP PDU"
    Sta8 = "Awaiting local A-RELEASE response primitive (from local user)"
    Sta9 = "Release collision requestor side; awaiting A-RELEASE response (from local user)"
    Sta10 = "Release collision acceptor side; awaiting A-RELEASE-RP PDU"
    Sta11 = "Release collision requestor side; awaiting A-RELEASE-RP PDU"
    Sta12 = "Release collision acceptor side; awaiting A-RELEASE response primitive (from local user)"
    Sta13 = "Awaiting Transport Connection Close Indication (Association no longer exists)"

    __hash__ = object.__hash__  # the table is looked up with it for each PDU; Enum's own is written in Python


@unique
class Evt(Enum):
    """The rows of PS3.8 Table 9-10."""

    Evt1 = "A-ASSOCIATE Request (local user)"
    Evt2 = "Transport Conn. Confirm (local transport service)"
    Evt3 = "A-ASSOCIATE-AC PDU (received on transport connection)"
    Evt4 = "A-ASSOCIATE-RJ PDU (received on transport connection)"
    Evt5 = "Transport Connection Indication (local transport service)"
    Evt6 = "A-ASSOCIATE-RQ PDU (received on transport connection)"
    Evt7 = "A-ASSOCIATE response primitive (accept)"
    Evt8 = "A-ASSOCIATE response primitive (reject)"
    Evt9 = "P-DATA request primitive"
    Evt10 = "P-DATA-TF PDU"
    Evt11 = "A-RELEASE Request primitive"
    Evt12 = "A-RELEASE-RQ PDU (received on open transport connection)"
    Evt13 = "A-RELEASE-RP PDU (received on transport connection)"
    Evt14 = "A-RELEASE Response primitive"
    Evt15 = "A-ABORT Request primitive"
    Evt16 = "A-ABORT PDU (received on open transport connection)"
    Evt17 = "Transport connection closed indication (local transport service)"
    Evt18 = "ARTIM timer expired (Association reject/release timer)"
    Evt19 = "Unrecognized or invalid PDU received"

    __hash__ = object.__hash__  # as that of a state


@unique
class Action(Enum):
    """PS3.8 Tables 9-6 to 9-9."""

    AE_1 = "Issue TRANSPORT CONNECT request primitive to local transport service"
    AE_2 = "Send A-ASSOCIATE-RQ-PDU"
    AE_3 = "Issue A-ASSOCIATE confirmation (accept) primitive"
    AE_4 = "Issue A-ASSOCIATE confirmation (reject) primitive and close transport connection"
    AE_5 = "Issue Transport connection response primitive; start ARTIM timer"
    AE_6 = "Stop ARTIM timer and if acceptable issue A-ASSOCIATE indication, otherwise send RJ and start ARTIM"
    AE_7 = "Send A-ASSOCIATE-AC PDU"
    AE_8 = "Send A-ASSOCIATE-RJ PDU and start ARTIM timer"
    DT_1 = "Send P-DATA-TF PDU"
    DT_2 = "Send P-DATA indication primitive"
    AR_1 = "Send A-RELEASE-RQ PDU"
    AR_2 = "Issue A-RELEASE indication primitive"
    AR_3 = "Issue A-RELEASE confirmation primitive, and close transport connection"
    AR_4 = "Issue A-RELEASE-RP PDU and start ARTIM timer"
    AR_5 = "Stop ARTIM timer"
    AR_6 = "Issue P-DATA indication"
    AR_7 = "Issue P-DATA-TF PDU"
    AR_8 = "Issue A-RELEASE indication (release collision)"
    AR_9 = "Send A-RELEASE-RP PDU"
    AR_10 = "Issue A-RELEASE confirmation primitive"
    AA_1 = "Send A-ABORT PDU (service-user source) and start (or restart if already started) ARTIM timer"
    AA_2 = "Stop ARTIM timer if running. Close transport connection"
    AA_3 = "Issue A-ABORT or A-P-ABORT indication and close transport connection"
    AA_4 = "Issue A-P-ABORT indication primitive"
    AA_5 = "Stop ARTIM timer (there was no association yet)"
    AA_6 = "Ignore PDU"
    AA_7 = "Send A-ABORT PDU"
    AA_8 = "Send A-ABORT PDU (service-provider source), issue A-P-ABORT indication, and start ARTIM timer"


Transition = tuple[Action, tuple[State, ...]]

_ALL: Final = tuple(State)
_S: Final = dict(zip(range(1, 14), _ALL, strict=True))


def _row(event: Evt, **cells: str) -> dict[tuple[Evt, State], Transition]:
    """Read a row: ``s2="AA-1 13"`` is action AA-1 and next state 13 in the column of state 2; ``s6_12`` is 6 to 12."""
    row: dict[tuple[Evt, State], Transition] = {}
    for column, cell in cells.items():
        first, _, last = column[1:].partition("_")
        name, *following = cell.split()
        action = Action[name.replace("-", "_")]
        for number in range(int(first), int(last or first) + 1):
            row[event, _S[number]] = (action, tuple(_S[int(state)] for state in following))
    return row


TABLE: Final[Mapping[tuple[Evt, State], Transition]] = MappingProxyType(
    _row(Evt.Evt1, s1="AE-1 4")
    | _row(Evt.Evt2, s4="AE-2 5")
    | _row(Evt.Evt3, s2="AA-1 13", s3="AA-8 13", s5="AE-3 6", s6_12="AA-8 13", s13="AA-6 13")
    | _row(Evt.Evt4, s2="AA-1 13", s3="AA-8 13", s5="AE-4 1", s6_12="AA-8 13", s13="AA-6 13")
    | _row(Evt.Evt5, s1="AE-5 2")
    | _row(Evt.Evt6, s2="AE-6 3 13", s3="AA-8 13", s5_12="AA-8 13", s13="AA-7 13")
    | _row(Evt.Evt7, s3="AE-7 6")
    | _row(Evt.Evt8, s3="AE-8 13")
    | _row(Evt.Evt9, s6="DT-1 6", s8="AR-7 8")
    | _row(
        Evt.Evt10, s2="AA-1 13", s3="AA-8 13", s5="AA-8 13", s6="DT-2 6", s7="AR-6 7", s8_12="AA-8 13", s13="AA-6 13"
    )
    | _row(Evt.Evt11, s6="AR-1 7")
    | _row(
        Evt.Evt12, s2="AA-1 13", s3="AA-8 13", s5="AA-8 13", s6="AR-2 8", s7="AR-8 9 10", s8_12="AA-8 13", s13="AA-6 13"
    )
    | _row(
        Evt.Evt13,
        s2="AA-1 13",
        s3="AA-8 13",
        s5_6="AA-8 13",
        s7="AR-3 1",
        s8_9="AA-8 13",
        s10="AR-10 12",
        s11="AR-3 1",
        s12="AA-8 13",
        s13="AA-6 13",
    )
    | _row(Evt.Evt14, s8="AR-4 13", s9="AR-9 11", s12="AR-4 13")
    | _row(Evt.Evt15, s3="AA-1 13", s4="AA-2 1", s5_12="AA-1 13")
    | _row(Evt.Evt16, s2="AA-2 1", s3="AA-3 1", s5_12="AA-3 1", s13="AA-2 1")
    | _row(Evt.Evt17, s2="AA-5 1", s3_12="AA-4 1", s13="AR-5 1")
    | _row(Evt.Evt18, s2="AA-2 1", s13="AA-2 1")
    | _row(Evt.Evt19, s2="AA-1 13", s3="AA-8 13", s5_12="AA-8 13", s13="AA-7 13")
)
"""(event, state) -> (action, next states); the first next state is the usual one."""
