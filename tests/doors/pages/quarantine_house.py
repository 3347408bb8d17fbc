"""What waits in quarantine, for the tests of its pages: handed in by a link, or in contradiction to what is stored."""

from pathlib import Path

from leadglass.app import App
from leadglass.archive.backroom import Declared, Receipt
from leadglass.errors import Conflict
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from tests.callers import device, everything
from tests.peers.web import Web
from tests.vault.sets import EXPLICIT, instance


def hand_in(folder: Path, *data: bytes, origin: str = "link-1", syntax: str = EXPLICIT) -> list[Receipt]:
    """Hand instances in as somebody who may do that and no more."""
    return _give(folder, device(origin, Action.SUBMIT), *data, syntax=syntax)


def contradict(folder: Path, uid: str, study: str, **attributes: object) -> None:
    """Store an instance, and then another one under its UID."""
    _give(folder, everything(), instance(SOPInstanceUID=uid, StudyInstanceUID=study, StudyDescription="Thorax"))
    try:
        _give(folder, everything(), instance(SOPInstanceUID=uid, StudyInstanceUID=study, **attributes))
    except Conflict:
        return
    raise AssertionError("it contradicts nothing")


def _give(folder: Path, caller: Caller, *data: bytes, syntax: str = EXPLICIT) -> list[Receipt]:
    receipts: list[Receipt] = []
    with App().open(folder) as opened:
        for each in data:
            receiving = opened.archive.receive(caller, Declared(syntax, origin=caller.name))
            receiving.write(each)
            receipts.append(receiving.finish())
        opened.archive.end(caller)
    return receipts


def data_of(web: Web) -> Path:
    """Give the data folder of a running archive."""
    return Path(web.leadglass.data)
