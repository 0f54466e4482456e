"""The stamp of a serialized message that begins with a std_msgs/Header, as those of cameras do."""
import struct

#: Bytes of CDR's encapsulation, the second of which tells the order of all others.
_HEAD = 4


def stamp_of(cdr: bytes) -> int:
    """Return a message's stamp in nanoseconds.

    :raises ValueError: if it is too short for one.
    """
    sec, nanosec = struct.unpack_from(_format(cdr), cdr, _HEAD)
    return sec * 1_000_000_000 + nanosec


def shift_stamp(cdr: bytes, nanoseconds: int) -> bytes:
    """Return a message with its stamp moved; one without a stamp (0) stays without.

    :raises ValueError: if it is too short for one, or the time is too late for it.
    """
    stamp = stamp_of(cdr)
    if not stamp or not nanoseconds:
        return cdr
    moved = bytearray(cdr)
    try:
        struct.pack_into(_format(cdr), moved, _HEAD, *divmod(stamp + nanoseconds, 1_000_000_000))
    except struct.error as e:
        raise ValueError(f'a stamp of {stamp} ns cannot be moved by {nanoseconds} ns') from e
    return bytes(moved)


def _format(cdr: bytes) -> str:
    if len(cdr) < _HEAD + 8:
        raise ValueError(f'a message of {len(cdr)} bytes has no header')
    return '<iI' if cdr[1] & 1 else '>iI'
