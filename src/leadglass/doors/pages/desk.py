"""What the pages work with, besides what every web route does."""

from dataclasses import dataclass
from pathlib import Path

from leadglass.archive.archive import Archive
from leadglass.audit.log import AuditLog
from leadglass.config import Config
from leadglass.doors.links import origin
from leadglass.doors.pages.devices.desk import DevicesDesk
from leadglass.doors.pages.sharing.desk import SharingDesk
from leadglass.doors.pages.system.desk import SystemDesk
from leadglass.doors.threads import Threads
from leadglass.followup import FollowUp
from leadglass.identity.devices import Devices
from leadglass.identity.own_tokens import OwnTokens
from leadglass.identity.tokens import Tokens


@dataclass(frozen=True, slots=True)
class PagesDesk:
    """What the pages work with, made by the composition root.

    Parameters
    ----------
    archive : Archive
        That of the door ``pages``.
    threads : Threads
        Where blocking calls are made.
    config : Config
        What the operator set.
    folder : Path
        The data folder.
    devices : Devices
        Who is enrolled.
    tokens : Tokens
        The tokens of programs.
    own_tokens : OwnTokens
        The tokens of people.
    audit : AuditLog
        What is on record.
    sharing : SharingDesk
        The links, and who is here by one.
    devices_desk : DevicesDesk
        What the pages of devices work with.
    system : SystemDesk
        What the system page works with.
    survey : FollowUp
        What surveys of the network came to.
    """

    archive: Archive
    threads: Threads
    config: Config
    folder: Path
    devices: Devices
    tokens: Tokens
    own_tokens: OwnTokens
    audit: AuditLog
    sharing: SharingDesk
    devices_desk: DevicesDesk
    system: SystemDesk
    survey: FollowUp

    def origin(self, host: str) -> str:
        """Give what paths are put behind for somebody else: the address people use, or the host that was asked."""
        return origin(self.config.web.address, host)
