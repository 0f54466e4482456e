"""Read and shift the stamp of a serialized message whose first field is a std_msgs/Header."""
import struct

#: Bytes of CDR's encapsulation header; the second one holds the byte order.
_CDR_HEADER = 4


def stamp_of(cdr: bytes) -> int:
    """Return a message's stamp in nanoseconds.

    :raises ValueError: if the message is too short to have one.
    """
    sec, nanosec = struct.unpack_from(_format(cdr), cdr, _CDR_HEADER)
    return sec * 1_000_000_000 + nanosec


def shift_stamp(cdr: bytes, nanoseconds: int) -> bytes:
    """Return a message with its stamp shifted; a stamp of 0 (none) stays 0.

    :raises ValueError: if the message is too short to have a stamp, or the shifted stamp is out
        of range.
    """
    stamp = stamp_of(cdr)
    if not stamp or not nanoseconds:
        return cdr
    shifted = bytearray(cdr)
    try:
        struct.pack_into(
            _format(cdr), shifted, _CDR_HEADER, *divmod(stamp + nanoseconds, 1_000_000_000))
    except struct.error as e:
        raise ValueError(f'a stamp of {stamp} ns cannot be shifted by {nanoseconds} ns') from e
    return bytes(shifted)


def _format(cdr: bytes) -> str:
    """Return the struct format of a stamp in the message's byte order."""
    if len(cdr) < _CDR_HEADER + 8:
        raise ValueError(f'a message of {len(cdr)} bytes has no header')
    return '<iI' if cdr[1] & 1 else '>iI'
