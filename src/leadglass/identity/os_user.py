"""The command line as a caller: whoever runs it on this machine holds the keys already.

Rule: the evidence is the operating system's word for who runs the process, never
an environment variable, which anybody may set.
"""

import os
import pwd

from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.scope import Scope
from leadglass.policy.view import View


def command_line_caller() -> Caller:
    """Give the caller for commands: the operating system's user, with every right.

    Who can read the data folder's keys can read everything in it, so a narrower
    grant would only pretend; what the command line does is on record like
    everything else.
    """
    uid = os.geteuid()
    grant = Grant(frozenset(Action), Scope.everything(), View.full(), "runs commands on the archive's own machine")
    return Caller(CallerKind.COMMAND_LINE, _name_of(uid), (grant,), "local", f"operating system user {uid}{_login()}")


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"  # a container may run under a number without a name


def _login() -> str:
    """Name the real user behind a changed one, where the kernel knows."""
    real = os.getuid()
    return f", started by {_name_of(real)}" if real != os.geteuid() else ""
