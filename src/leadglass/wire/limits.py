"""What a peer may cost us: sizes, numbers and deadlines of the wire.

Rule: every wait for a peer has a deadline here and every buffer a size here.
Each field says its unit and why it has its value.
"""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """Limits of one listener or one client connection; bytes and seconds."""

    max_pdu: int = 256 * KIB
    """bytes; the P-DATA-TF length we advertise. DCMTK never sends more than 128 KiB, others use what they are
    offered: larger PDUs stop paying after 128 KiB (measured), and each association may hold one of them."""

    associate_pdu: int = 256 * KIB
    """bytes; an A-ASSOCIATE PDU. 128 contexts with 25 transfer syntaxes each are about 100 kB."""

    command_set: int = 64 * KIB
    """bytes; a whole command set. Real ones have 100 to 300 bytes; an attribute list may have some kB."""

    smallest_peer_pdu: int = 256
    """bytes; a peer that takes less would turn one image into millions of writes."""

    receive_buffer: int = 1 * MIB
    """bytes; data waiting for a slow consumer before we stop reading from the socket."""

    write_batch: int = 512 * KIB
    """bytes; how much of a large data set goes in one write to the socket."""

    write_buffer: int = 1 * MIB
    """bytes; data waiting for a slow peer before the sender has to wait."""

    queued_requests: int = 16
    """requests that may wait behind the running one; a peer without an asynchronous window sends none."""

    tls_handshake: float = 10.0
    """seconds from the first byte to the end of the handshake; a slow modality needs about two."""

    artim: float = 15.0
    """seconds from the connection to a complete A-ASSOCIATE-RQ (PS3.8 ARTIM timer); senders do it at once."""

    linger: float = 3.0
    """seconds for the peer to close after our A-RELEASE-RP, A-ASSOCIATE-RJ or A-ABORT (PS3.8 ARTIM timer)."""

    idle: float = 300.0
    """seconds between messages; modalities that keep an association open during an examination pause for minutes."""

    progress_window: float = 30.0
    """seconds in which a peer in the middle of a message has to send ``progress_bytes``."""

    progress_bytes: int = 16 * KIB
    """bytes in each ``progress_window`` (about 0.5 kB/s): the slowest line that still ends within a day's work."""

    write_stall: float = 60.0
    """seconds in which a peer has to take the waiting ``write_buffer``; longer is a peer that does not read."""

    negotiation: float = 30.0
    """seconds a peer has to answer our A-ASSOCIATE-RQ; it has only to look at a table."""

    response: float = 300.0
    """seconds we wait for the answer to a request of ours; a receiver may be loading a tape."""

    release: float = 15.0
    """seconds we wait for A-RELEASE-RP; nothing has to be computed for it."""

    connect: float = 15.0
    """seconds for the TCP connection of a client."""

    associations: int = 256
    """established associations in total; each may hold about 3 MB of buffers."""

    associations_per_address: int = 128
    """established associations from one address; a gateway sends for a whole department."""

    pending: int = 256
    """connections without an association in total; the oldest silent one of the noisiest address makes room."""

    pending_per_address: int = 64
    """connections without an association from one address: as many as one device may have associations, because a
    sender of many threads asks for all of them in the same moment."""

    backlog: int = 1024
    """connections the kernel holds for us; a burst of 1000 must not delay another caller by a SYN retry."""
