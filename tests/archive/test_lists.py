"""Lists of studies at the archive: orders and words tell nobody what the view hides, and typing trips no brake."""

import pytest

from leadglass.archive import views
from leadglass.archive.finding import shown_order
from leadglass.archive.lists import Order
from leadglass.dicom import tags
from leadglass.dicom.levels import Level, Root
from leadglass.dicom.matching import Query
from leadglass.dicom.words import Words
from leadglass.doors.pages.studies.listing import ROWS, ROWS_WHILE_TYPING
from leadglass.policy.brakes import DEFAULTS, Meter, Usage
from leadglass.policy.caller import CallerKind
from leadglass.policy.masking import view_without, without_identity
from leadglass.policy.view import View


@pytest.mark.parametrize(
    ("wanted", "view", "given"),
    [
        (Order.PATIENT, View.full(), Order.PATIENT),
        (Order.PATIENT, without_identity(), Order.DATE),
        (Order.PATIENT_ID, view_without("PatientID"), Order.DATE),
        (Order.PATIENT, view_without("StudyDate"), Order.UID),
        (Order.DATE, view_without("StudyTime"), Order.UID),
        (Order.RECEIVED, view_without("StudyDate"), Order.UID),
        (Order.RECEIVED, without_identity(), Order.RECEIVED),
    ],
)
def test_an_order_that_would_tell_what_is_masked_is_replaced(wanted: Order, view: View, given: Order) -> None:
    assert shown_order(wanted, view) is given


@pytest.mark.parametrize("tag", [tags.PatientName, tags.PatientID, tags.AccessionNumber])
def test_words_that_look_where_something_is_masked_ask_about_it(tag: int) -> None:
    asked = Query(Level.STUDY, Root.STUDY, {}, words=(Words("x", frozenset({tag, tags.StudyDescription})),))
    other = Query(Level.STUDY, Root.STUDY, {}, words=(Words("x", frozenset({tags.StudyDescription})),))
    assert views.asks_about(asked, without_identity())
    assert not views.asks_about(other, without_identity())
    assert not views.asks_about(asked, View.full())


def test_somebody_who_types_all_day_is_not_slowed_and_who_turns_all_pages_is_stopped() -> None:
    reader, now, mark = Usage(DEFAULTS[CallerKind.PERSON], 2.0), 0.0, 0
    for _ in range(40):  # searches of an hour, each asked for three times while it is typed
        for _ in range(3):
            now += 1.0
            assert reader.charge(Meter.QUERIES, 1, now).delay == 0.0
            marks = range(mark, mark + ROWS_WHILE_TYPING)
            mark += ROWS_WHILE_TYPING
            assert reader.charge_new(Meter.LISTED, marks, now, room=1_000_000).delay == 0.0
        now += 87.0
    copier, now, turned = Usage(DEFAULTS[CallerKind.PERSON], 2.0), 0.0, 0
    while copier.charge_new(Meter.LISTED, range(turned * ROWS, (turned + 1) * ROWS), now, room=10**6).refused is None:
        now, turned = now + 1.0, turned + 1
    assert turned == 100
