"""A blocking DICOM client over a plain socket, for senders that are cut off in the middle of anything.

Rule: it answers with what the peer said, or raises ``Lost``; it never waits for a peer that is gone.
"""

import socket
from collections.abc import Iterator
from io import BytesIO
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

import pydicom
from pydicom.dataset import Dataset

from leadglass.wire import command_set, pdu
from leadglass.wire.messages import CFindRq, CFindRsp, CGetRq, CGetRsp, Command, CStoreRq, CStoreRsp
from leadglass.wire.pdu import PDV, AssociateAccept, AssociateRequest, PData, ProposedContext, ReleaseRP, Role
from tests.peers.scu import STUDY_FIND, STUDY_GET
from tests.vault.sets import CT, EXPLICIT, IMPLICIT, encoded

_PENDING: Final = frozenset({0xFF00, 0xFF01})
_STORE, _FIND, _GET = 1, 3, 5
_PIECE: Final = 60_000
_EXPECTED = TypeVar("_EXPECTED")


class Lost(Exception):  # noqa: N818 - it is what a killed server looks like, no error
    """The peer went away."""


class Plain:
    """One association in the plaintext lane; use it as a context manager."""

    def __init__(self, port: int, ae_title: str, *, patience: float = 60.0) -> None:
        self._numbers = count(1)
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), patience)
        except OSError as error:
            raise Lost(str(error)) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        contexts = (
            ProposedContext(_STORE, CT, (EXPLICIT,)),
            ProposedContext(_FIND, STUDY_FIND, (IMPLICIT,)),
            ProposedContext(_GET, STUDY_GET, (IMPLICIT,)),
        )
        request = AssociateRequest(
            called_ae_title="LEADGLASS",
            calling_ae_title=ae_title,
            contexts=contexts,
            max_length=262_144,
            implementation_class_uid="1.2.3.4.5",
            roles={CT: Role(scu=True, scp=True)},
        )
        try:
            self._put(request)
            self._agree()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._put(pdu.ReleaseRQ())
                while not isinstance(self._take(), ReleaseRP):
                    pass
        except Lost:
            pass
        finally:
            self._close()

    def _close(self) -> None:
        self._file.close()
        self._socket.close()

    # --- requests ---------------------------------------------------------------

    def store(self, sop_instance_uid: str, data: bytes) -> int:
        """C-STORE one CT image; gives the status."""
        request = CStoreRq(
            message_id=self._next(), affected_sop_class_uid=CT, affected_sop_instance_uid=sop_instance_uid
        )
        self._send(_STORE, request, data)
        return _as(CStoreRsp, self._receive()[0]).status

    def find(self, keys: Dataset) -> tuple[int, list[Dataset]]:
        """C-FIND; gives the last status and the matches."""
        request = CFindRq(message_id=self._next(), affected_sop_class_uid=STUDY_FIND)
        self._send(_FIND, request, encoded(keys, IMPLICIT))
        found: list[Dataset] = []
        while True:
            command, data = self._receive()
            status = _as(CFindRsp, command).status
            if status not in _PENDING:
                return status, found
            found.append(cast("Any", pydicom).dcmread(BytesIO(data), force=True))

    def get(self, study_uid: str) -> tuple[int, dict[str, bytes]]:
        """C-GET one study; gives the last status and the data sets by SOP Instance UID."""
        keys = Dataset()
        keys.QueryRetrieveLevel = "STUDY"
        keys.StudyInstanceUID = study_uid
        request = CGetRq(message_id=self._next(), affected_sop_class_uid=STUDY_GET)
        self._send(_GET, request, encoded(keys, IMPLICIT))
        got: dict[str, bytes] = {}
        while True:
            command, data = self._receive()
            if isinstance(command, CStoreRq):
                got[command.affected_sop_instance_uid] = data
                self._send(_STORE, command.response(0))
                continue
            status = _as(CGetRsp, command).status
            if status not in _PENDING:
                return status, got

    def _agree(self) -> None:
        answer = self._take()
        if not isinstance(answer, AssociateAccept):
            raise Lost(f"not let in: {answer}")

    def _next(self) -> int:
        return next(self._numbers) & 0x7FFF

    # --- the wire ---------------------------------------------------------------

    def _send(self, context: int, command: Command, data: bytes | None = None) -> None:
        head = command_set.encode(command, has_data_set=data is not None)
        self._put(PData((PDV(context, is_command=True, is_last=True, fragment=head),)))
        for start in range(0, len(data or b""), _PIECE):
            piece = (data or b"")[start : start + _PIECE]
            is_last = start + _PIECE >= len(data or b"")
            self._put(PData((PDV(context, is_command=False, is_last=is_last, fragment=piece),)))

    def _receive(self) -> tuple[Command, bytes]:
        """Give the next message, whole."""
        head, data = bytearray(), bytearray()
        command: Command | None = None
        for pdv in self._pdvs():
            if not pdv.is_command:
                data += pdv.fragment
                if pdv.is_last and command is not None:
                    return command, bytes(data)
                continue
            head += pdv.fragment
            if pdv.is_last:
                command, has_data = command_set.decode(head)
                if not has_data:
                    return command, b""
        raise AssertionError("unreachable")

    def _pdvs(self) -> Iterator[PDV]:
        while True:
            received = self._take()
            if not isinstance(received, PData):
                raise Lost(f"it said {type(received).__name__}")
            yield from received.pdvs

    def _put(self, what: pdu.PDU) -> None:
        try:
            self._socket.sendall(pdu.encode(what))
        except OSError as error:
            raise Lost(str(error)) from error

    def _take(self) -> pdu.PDU:
        try:
            head = self._file.read(6)
            length = int.from_bytes(head[2:6], "big")
            body = self._file.read(length) if len(head) == 6 else b""
        except OSError as error:
            raise Lost(str(error)) from error
        if len(head) < 6 or len(body) < length:
            raise Lost("the connection was closed")
        return pdu.decode(head[0], memoryview(body))


def _as(kind: type[_EXPECTED], command: object) -> _EXPECTED:
    assert isinstance(command, kind), f"{type(command).__name__} was not awaited"
    return command
