"""Text that is not UTF-8, such as names of files from old disks and archives.

Python holds each undecodable byte of a file name as a lone surrogate. OpenCV 5 crashes on such a
text, and ROS cannot send it.
"""


def is_utf8(text: str) -> bool:
    """Return whether a text can be encoded in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    r"""Return a text in UTF-8: each byte of a file name that is not UTF-8 becomes ``\xNN``."""
    try:
        return text.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode('utf-8', 'backslashreplace').decode()
