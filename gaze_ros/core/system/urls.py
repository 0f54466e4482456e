"""URLs: without their passwords, as they may be told, and with those that the user keeps."""
import netrc
import os
import re
from urllib.parse import quote, urlsplit

from gaze_ros.core.errors import SourceError

#: Names in a query whose values are nobody's business. Many cameras take their login there.
_HIDDEN = r'[^=&;?#\s]*(?:pass|pwd|psw|token|secret|key|auth|login|user|usr|sig)[^=&;?#\s]*'


def redact_url(url: str) -> str:
    """Return a URL as it may be logged: all up to its last @, and secrets in its query, as ***."""
    # A scheme with one slash, or none, is a slip of the pen, and no reason to tell.
    url = re.sub(r':(/*).*@', r':\1***@', url, count=1, flags=re.DOTALL)
    return re.sub(rf'(?i)([?&;]{_HIDDEN}=)[^&;#\s]*', r'\1***', url)


def add_netrc_login(url: str) -> str:
    """Return a URL with the login that the file $NETRC has for its host; else as it is.

    So neither a command line nor a parameter has to hold it, and whoever sets the parameter cannot
    have it sent to another host: a ``default`` of that file is not taken.

    :raises SourceError: if there is no such file, or it cannot be understood.
    """
    file = os.environ.get('NETRC', '')
    try:
        host, login = urlsplit(url).hostname, urlsplit(url).username
    except ValueError:
        return url
    if not file or not host or login is not None:
        return url
    try:
        kept = netrc.netrc(file).hosts.get(host)
    except (OSError, ValueError, netrc.NetrcParseError) as e:  # in words without the file's own
        line = getattr(e, 'lineno', None)
        why = f'line {line} is not understood' if line else (
            getattr(e, 'strerror', None) or 'it is no text')
        raise SourceError(f"$NETRC '{file}' is no file of logins: {why}") from None
    if not kept:
        return url
    scheme, _, rest = url.partition('://')
    user, password = (quote(word or '', safe='') for word in (kept[0], kept[2]))
    return f'{scheme}://{user}:{password}@{rest}'
