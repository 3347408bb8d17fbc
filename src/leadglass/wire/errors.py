"""What can go wrong on the wire.

Rule: what a peer does wrong is a ``ProtocolViolation`` inside the core and an
abort outside of it, never a traceback. A caller of ``client.connect`` sees one
of the three other kinds.
"""

from enum import IntEnum
from pathlib import PurePath

from leadglass.errors import BadInput, Busy, Denied


class AbortSource(IntEnum):
    """Who aborted (PS3.8 9.3.8)."""

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


class AbortReason(IntEnum):
    """Why the service provider aborted (PS3.8 Table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PDU_PARAMETER = 4
    UNEXPECTED_PDU_PARAMETER = 5
    INVALID_PDU_PARAMETER_VALUE = 6


class ProtocolViolation(BadInput):
    """The peer sent bytes that break PS3.8 or PS3.7; the association is to be aborted.

    Parameters
    ----------
    message : str
        What was wrong; names fields and lengths, never their values.
    reason : AbortReason
        What our A-ABORT says.
    """

    def __init__(self, message: str, reason: AbortReason = AbortReason.INVALID_PDU_PARAMETER_VALUE) -> None:
        super().__init__(message)
        self.reason = reason


class ConnectionFailed(Busy):
    """There is no connection: refused, unreachable, TLS failed, or no answer in time.

    Parameters
    ----------
    message : str
        What happened.
    in_tls : bool
        Whether there was a connection, and TLS failed on it.
    refused : bool
        Whether the machine is there and nobody listens.
    """

    def __init__(self, message: str, *, in_tls: bool = False, refused: bool = False) -> None:
        super().__init__(message)
        self.in_tls = in_tls
        self.refused = refused


class AssociationAborted(Busy):
    """The association ended in the middle: an A-ABORT, a lost connection or a deadline."""


class AssociationRejected(Denied):
    """The peer answered A-ASSOCIATE-RJ.

    Parameters
    ----------
    result, source, reason : int
        The three fields of PS3.8 Table 9-21.
    text : str
        What they mean, in words.
    """

    def __init__(self, result: int, source: int, reason: int, text: str) -> None:
        super().__init__(f"The peer rejected the association: {text}.")
        self.result = result
        self.source = source
        self.reason = reason
        self.text = text


def place(error: BaseException) -> str:
    """Name an error and the line it came from, never its text, which may hold what a peer sent."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} at {PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
