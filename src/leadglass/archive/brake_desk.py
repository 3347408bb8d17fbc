"""The brake desk: where an operator looks at the brakes, and lifts one.

Rule: who looks or lifts needs ``MANAGE`` and is on record, before it happens.
"""

from collections.abc import Mapping

from leadglass.archive.brake_store import BrakeStore
from leadglass.archive.braking import Braking, counted_as
from leadglass.audit.decision import decide_on_record
from leadglass.audit.log import AuditLog
from leadglass.policy.action import Action
from leadglass.policy.brakes import Brakes, Reading
from leadglass.policy.caller import Caller, CallerKind


class BrakeDesk:
    """Where an operator looks at the brakes, and lifts one; beside a server that runs, or without.

    Parameters
    ----------
    store : BrakeStore
        What the server saved, some seconds ago at most.
    limits : mapping of CallerKind to tuple of Brake
        As the server has them.
    audit : AuditLog
        Where both go on record.
    door : str
        For the records.
    """

    def __init__(
        self, store: BrakeStore, limits: Mapping[CallerKind, Brakes], audit: AuditLog, *, door: str = "cli"
    ) -> None:
        self._store = store
        self._limits = limits
        self._audit = audit
        self._door = door

    def show(self, caller: Caller) -> dict[str, list[Reading]]:
        """Say what the brakes of each caller show, by its name.

        Raises
        ------
        Denied
        """
        self._permit(caller, asked="brakes")
        return Braking(self._limits, store=self._store).show()

    def release(self, caller: Caller, name: str) -> None:
        """Forget what a caller was given; a server that runs does within seconds.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``MANAGE``.
        name : str
            Whose brakes, as the audit log names it: ``device:CT1``.

        Raises
        ------
        Denied, Busy, Full, Corrupt
        """
        self._permit(caller, change="release brakes", about=name)
        self._store.release(counted_as(name))

    def _permit(self, caller: Caller, **detail: str) -> None:
        decide_on_record(self._audit.append, caller, Action.MANAGE, door=self._door, detail=detail)
