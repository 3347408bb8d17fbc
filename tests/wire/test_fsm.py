"""The table of the machine against a second transcription of PS3.8 Table 9-10, written column by column."""

import pytest
from pynetdicom.fsm import TRANSITION_TABLE  # pyright: ignore[reportUnknownVariableType]

from leadglass.wire.fsm import TABLE, Action, Evt, State

# One column a state. "-" is an empty cell. Read down: Evt1 to Evt19; "action/next" or "action/next|other".
COLUMNS = {
    1: "AE-1/4 - - - AE-5/2 - - - - - - - - - - - - - -",
    2: "- - AA-1/13 AA-1/13 - AE-6/3|13 - - - AA-1/13 - AA-1/13 AA-1/13 - - AA-2/1 AA-5/1 AA-2/1 AA-1/13",
    3: "- - AA-8/13 AA-8/13 - AA-8/13 AE-7/6 AE-8/13 - AA-8/13 - AA-8/13 AA-8/13 - AA-1/13 AA-3/1 AA-4/1 - AA-8/13",
    4: "- AE-2/5 - - - - - - - - - - - - AA-2/1 - AA-4/1 - -",
    5: "- - AE-3/6 AE-4/1 - AA-8/13 - - - AA-8/13 - AA-8/13 AA-8/13 - AA-1/13 AA-3/1 AA-4/1 - AA-8/13",
    6: "- - AA-8/13 AA-8/13 - AA-8/13 - - DT-1/6 DT-2/6 AR-1/7 AR-2/8 AA-8/13 - AA-1/13 AA-3/1 AA-4/1 - AA-8/13",
    7: "- - AA-8/13 AA-8/13 - AA-8/13 - - - AR-6/7 - AR-8/9|10 AR-3/1 - AA-1/13 AA-3/1 AA-4/1 - AA-8/13",
    8: "- - AA-8/13 AA-8/13 - AA-8/13 - - AR-7/8 AA-8/13 - AA-8/13 AA-8/13 AR-4/13 AA-1/13 AA-3/1 AA-4/1 - AA-8/13",
    9: "- - AA-8/13 AA-8/13 - AA-8/13 - - - AA-8/13 - AA-8/13 AA-8/13 AR-9/11 AA-1/13 AA-3/1 AA-4/1 - AA-8/13",
    10: "- - AA-8/13 AA-8/13 - AA-8/13 - - - AA-8/13 - AA-8/13 AR-10/12 - AA-1/13 AA-3/1 AA-4/1 - AA-8/13",
    11: "- - AA-8/13 AA-8/13 - AA-8/13 - - - AA-8/13 - AA-8/13 AR-3/1 - AA-1/13 AA-3/1 AA-4/1 - AA-8/13",
    12: "- - AA-8/13 AA-8/13 - AA-8/13 - - - AA-8/13 - AA-8/13 AA-8/13 AR-4/13 AA-1/13 AA-3/1 AA-4/1 - AA-8/13",
    13: "- - AA-6/13 AA-6/13 - AA-7/13 - - - AA-6/13 - AA-6/13 AA-6/13 - - AA-2/1 AR-5/1 AA-2/1 AA-7/13",
}

CELLS = [
    (f"Evt{row}", f"Sta{state}", cell)
    for state, column in COLUMNS.items()
    for row, cell in enumerate(column.split(), start=1)
]


def test_the_transcription_has_a_cell_for_every_event_and_state() -> None:
    assert len(CELLS) == 19 * 13


@pytest.mark.parametrize(("event", "state", "cell"), CELLS)
def test_each_cell_is_the_standards(event: str, state: str, cell: str) -> None:
    ours = TABLE.get((Evt[event], State[state]))
    if cell == "-":
        assert ours is None
        return
    action, _, following = cell.partition("/")
    assert ours == (Action[action.replace("-", "_")], tuple(State[f"Sta{number}"] for number in following.split("|")))


def test_another_implementation_read_the_same_actions_in_the_standard() -> None:
    ours = {(event.name, state.name): action.name.replace("_", "-") for (event, state), (action, _) in TABLE.items()}
    assert ours == TRANSITION_TABLE


def test_every_action_of_the_standard_is_used() -> None:
    assert {action for action, _ in TABLE.values()} == set(Action)
