"""The parts a vault is made of, as its methods share them."""

from dataclasses import dataclass, field

from leadglass.crypto.sealed import Scratch
from leadglass.errors import Denied
from leadglass.policy.action import Action
from leadglass.policy.permit import Permit
from leadglass.vault.committer import Committer
from leadglass.vault.keys import Keys
from leadglass.vault.objects import Objects
from leadglass.vault.reading import Reading
from leadglass.vault.settings import VaultSettings


@dataclass(frozen=True, slots=True)
class Parts:
    """One opened vault."""

    objects: Objects
    keys: Keys
    committer: Committer
    reading: Reading
    settings: VaultSettings
    scratch: Scratch = field(default_factory=Scratch)


def demand(permit: Permit, *actions: Action) -> None:
    """Refuse a permit that was given for something else.

    Raises
    ------
    Denied
    """
    if permit.action not in actions:
        raise Denied(f"A permit to {permit.action} is no permit for this.")
