"""Limits on what a data set may make a reader do."""

from dataclasses import dataclass

_KIB = 1 << 10
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one data set may cost to describe.

    Parameters
    ----------
    header_bytes : int
        Bytes of element headers and kept values. Larger is refused. 64 MiB:
        an enhanced multi-frame header with some ten thousand frames.
    elements : int
        Elements and items at all levels. 500,000: some 250 MB while described.
    depth : int
        Nested sequences. 64: real objects stay below 20, peers die at 50 to 200.
    value_bytes : int
        A longer value is recorded by offset and length, not kept. 64 KiB: what
        an Explicit VR text may hold at most.
    inline_bytes : int
        A binary value up to this length is kept in the attributes as Base64. 1 KiB.
    kept_bytes : int
        Values kept in all, bytes as encoded; when it is used up only values up
        to 256 bytes are kept. 16 MiB.
    inflated_bytes : int
        Size of a deflated data set once inflated. 1 GiB.
    inflation_ratio : int
        How often larger a deflated data set may become once it is past
        ``inflation_free``; images deflate about 2 to 20 times. 200.
    inflation_free : int
        Inflated bytes for which the ratio does not count. 16 MiB.
    private_transfer_syntaxes : frozenset of str
        Transfer syntaxes beyond the Standard's that are read all the same:
        little endian, explicit or implicit VR, whatever their pixel data is.
    """

    header_bytes: int = 64 * _MIB
    elements: int = 500_000
    depth: int = 64
    value_bytes: int = 64 * _KIB
    inline_bytes: int = _KIB
    kept_bytes: int = 16 * _MIB
    inflated_bytes: int = 1024 * _MIB
    inflation_ratio: int = 200
    inflation_free: int = 16 * _MIB
    private_transfer_syntaxes: frozenset[str] = frozenset()
