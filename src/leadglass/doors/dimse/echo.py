"""C-ECHO as SCP (PS3.4 Annex A, PS3.7 9.1.5).

Status: 0000 here · 0124 not authorized.
"""

from leadglass.archive.archive import Archive
from leadglass.doors.threads import Threads
from leadglass.policy.caller import Caller


async def echo(archive: Archive, caller: Caller, threads: Threads) -> None:
    """Answer a C-ECHO.

    Raises
    ------
    Denied
        When the caller was not granted it.
    """
    await threads.run(archive.echo, caller)
