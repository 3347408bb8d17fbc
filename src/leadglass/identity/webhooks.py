"""Webhooks: the identity on whose behalf a configured receiver is told.

Rule: the evidence is the operator's settings file; it may query, and nothing else.
"""

from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.scope import Scope
from leadglass.policy.view import View


def caller_of_receiver(name: str) -> Caller:
    """Give the caller for one configured receiver.

    Parameters
    ----------
    name : str
        What the receiver is called in records: its host and port.
    """
    grant = Grant(frozenset({Action.FIND}), Scope.everything(), View.full(), "receiver in leadglass.toml", bulk=True)
    return Caller(CallerKind.WEBHOOK, name, (grant,), "local", "leadglass.toml")
