"""N-EVENT-REPORT of the Storage Commitment Push Model as SCP (PS3.4 J.3.3, PS3.7 10.1.1): the answer that was promised.

Rule: event 1 is said only when everything is committed; else event 2 names what
is and what is not, each with its Failure Reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from leadglass.archive.commitment import Reference, Verdict
from leadglass.dicom import sop_classes, tags
from leadglass.dicom.codec_io import encode_identifier
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from leadglass.doors.threads import Threads
from leadglass.errors import Unsupported
from leadglass.wire.association import AcceptedContext, Association
from leadglass.wire.items import Role
from leadglass.wire.messages import NEventReportRq, NEventReportRsp, is_warning

SUCCESSFUL: Final = 1
FAILURES_EXIST: Final = 2
"""Event Type IDs (PS3.4 Table J.3-2)."""

PROPOSALS: Final = (
    (sop_classes.STORAGE_COMMITMENT_PUSH_MODEL, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)),
)
ROLES: Final = {sop_classes.STORAGE_COMMITMENT_PUSH_MODEL: Role(scu=False, scp=True)}
"""What is proposed on an association of our own: the one who asks for it is the SCP here (PS3.7 D.3.3.4)."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found of one transaction.

    Parameters
    ----------
    transaction_uid : str
        What the asker calls it.
    references : sequence of Reference
        What it asked about.
    verdicts : sequence of int
        What was found of each.
    retrieve_ae_title : str
        Where committed instances can be had.
    """

    transaction_uid: str
    references: Sequence[Reference]
    verdicts: Sequence[int]
    retrieve_ae_title: str

    @property
    def event_type_id(self) -> int:
        """Event Type ID (0000,1002)."""
        return SUCCESSFUL if all(each == Verdict.COMMITTED for each in self.verdicts) else FAILURES_EXIST

    def event_information(self) -> Attributes:
        """Give the Event Information (PS3.4 Table J.3-2)."""
        committed: list[Attributes] = []
        failed: list[Attributes] = []
        for reference, verdict in zip(self.references, self.verdicts, strict=True):
            item: Attributes = {
                tags.key(tags.ReferencedSOPClassUID): JsonElement(vr="UI", Value=[reference.sop_class_uid]),
                tags.key(tags.ReferencedSOPInstanceUID): JsonElement(vr="UI", Value=[reference.sop_instance_uid]),
            }
            if verdict == Verdict.COMMITTED:
                committed.append(item)
            else:
                failed.append({**item, tags.key(tags.FailureReason): JsonElement(vr="US", Value=[int(verdict)])})
        told: Attributes = {tags.key(tags.TransactionUID): JsonElement(vr="UI", Value=[self.transaction_uid])}
        if committed:
            told[tags.key(tags.RetrieveAETitle)] = JsonElement(vr="AE", Value=[self.retrieve_ae_title])
            told[tags.key(tags.ReferencedSOPSequence)] = JsonElement(vr="SQ", Value=committed)
        if failed:
            told[tags.key(tags.FailedSOPSequence)] = JsonElement(vr="SQ", Value=failed)
        return told


async def send(
    report: Report, association: Association, context: AcceptedContext, *, threads: Threads, seconds: float
) -> None:
    """Send a report and wait for its answer.

    Parameters
    ----------
    report : Report
        What is told.
    association, context
        Over which.
    threads : Threads
        Where it is encoded: it may be long.
    seconds : float
        For the answer; then the association is aborted.

    Raises
    ------
    Unsupported
        When the device does not take it.
    AssociationAborted
        When there is no answer.
    """
    data = await threads.run(lambda: encode_identifier(report.event_information(), context.transfer_syntax))
    request = NEventReportRq(
        message_id=association.next_message_id(),
        affected_sop_class_uid=sop_classes.STORAGE_COMMITMENT_PUSH_MODEL,
        affected_sop_instance_uid=sop_classes.STORAGE_COMMITMENT_INSTANCE,
        event_type_id=report.event_type_id,
    )
    answer = await association.call(context.id, request, data, timeout=seconds)
    if answer.data is not None:
        answer.data.abandon()  # an Event Reply says nothing here
    match answer.command:
        case NEventReportRsp(status=status) if status == 0 or is_warning(status):
            return
        case NEventReportRsp(status=status):
            raise Unsupported(f"The device answered the report with status {status:04X}.")
        case _:
            await association.abort("a report was answered with something else")
            raise Unsupported("The device answered the report with something else.")
