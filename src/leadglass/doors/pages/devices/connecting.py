"""Connecting: what is typed into a device so that it finds this archive.

Rule: what is shown is what is listened on now, never what should be.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from leadglass.doors.pages.devices.desk import DevicesDesk
from leadglass.identity.device import Device


@dataclass(frozen=True, slots=True)
class Connecting:
    """What is typed into a device.

    Parameters
    ----------
    called : str
        Our AE title.
    calling : str
        Its own.
    hosts : tuple of str
        Names and addresses of this machine under which the door listens.
    port : int
        The TCP port; 0: the door is closed.
    secured : bool
        Whether it is the port for TLS.
    warning : str
        What keeps devices from getting here; may be empty.
    """

    called: str
    calling: str
    hosts: tuple[str, ...]
    port: int
    secured: bool
    warning: str

    def as_text(self) -> str:
        """Give it as a plain text, for the files that are carried to the device."""
        lines = [
            "Settings for the device",
            "",
            f"Its own AE title (calling):   {self.calling}",
            f"AE title of the archive:      {self.called}",
            f"Host of the archive:          {' or '.join(self.hosts) or '-'}",
            f"Port:                         {self.port or '-'}",
        ]
        if self.secured:
            lines += [
                "Encryption:                   TLS 1.2 or 1.3 with client certificate",
                "                              (BCP 195 TLS Profile, DICOM PS3.15 B.12)",
                "",
                "key.pem    private key: keep it on the device alone",
                "cert.pem   certificate of the device",
                "ca.pem     authority to trust: the archive shows a certificate of it",
            ]
        else:
            lines += ["Encryption:                   none"]
        return "\n".join(lines) + "\n"


def connecting(desk: DevicesDesk, device: Device) -> Connecting:
    """Give what is typed into a device: for TLS, unless it has nothing but a plaintext lane."""
    secured = not device.plaintext or bool(device.fingerprint)
    door = next((each for each in desk.doors() if each.secured is secured), None)
    option, setting = ("--dicom-tls", "dicom_tls") if secured else ("--dicom", "dicom")
    if door is None:
        kind = "DICOM over TLS" if secured else "plain DICOM"
        warning = (
            f"The door for {kind} is closed. Open it with {setting} of [listen] in leadglass.toml, "
            f"or with leadglass serve {option} HOST:PORT."
        )
        return Connecting(desk.ae_title, device.ae_title, (), 0, secured, warning)
    hosts = _hosts(desk, door.host)
    warning = ""
    if _is_loopback(door.host):
        warning = (
            f"This door is open to programs on this machine only ({door.host}). For devices, name an address of this "
            f"machine in {setting} of [listen] in leadglass.toml, and restart."
        )
    return Connecting(desk.ae_title, device.ae_title, hosts, door.port, secured, warning)


def _hosts(desk: DevicesDesk, host: str) -> tuple[str, ...]:
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not listened on
        return (host,)
    return tuple(each for each in desk.machine() if not _is_loopback(each)) or (host,)


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_link_local
