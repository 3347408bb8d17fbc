"""Asking: one association of a check with an endpoint that is known to speak DICOM.

Rule 1. It goes the way that DICOM was found on: in the clear or in TLS. Rule 2. An
association that was made is released at the end of the block.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from leadglass.survey.check import Dicom, Visit
from leadglass.survey.speech import dicom
from leadglass.survey.speech.tls import lenient_context
from leadglass.wire.items import UserIdentity
from leadglass.wire.pdu import ProposedContext


@asynccontextmanager
async def asking(
    visit: Visit,
    known: Dicom,
    contexts: Sequence[ProposedContext],
    *,
    called: str = "",
    user: UserIdentity | None = None,
) -> AsyncGenerator[tuple[dicom.Speaker, dicom.Answer]]:
    """Open a line and ask for an association, as a stranger, inside the block.

    Parameters
    ----------
    visit : Visit
        Opens the line.
    known : Dicom
        How it is spoken there.
    contexts : sequence of ProposedContext
        What is proposed.
    called : str
        The called AE title; by default the one that opened it, or a random one.
    user : UserIdentity, optional
        Whom we say we are.

    Raises
    ------
    Unreachable, Stopped
        ``ssl.SSLError`` where TLS fails.
    """
    async with visit.connect(tls=lenient_context() if known.in_tls else None) as line:
        speaker = dicom.Speaker(line)
        answer = await speaker.associate(
            called or known.called or dicom.random_title(), dicom.random_title(), contexts, user
        )
        if answer.nature is dicom.Nature.SILENT:
            visit.known.is_odd = True  # it spoke before: whatever it has, more connections do not make it better
        try:
            yield speaker, answer
        finally:
            if speaker.is_associated:
                await speaker.release()
