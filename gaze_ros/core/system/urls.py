"""URLs: paths of file URLs, passwords hidden for output, logins from the file $NETRC."""
import netrc
import os
from pathlib import Path
import re
from urllib.parse import quote, unquote, urlsplit

from gaze_ros.core.errors import SourceError

#: Names in a query whose values are secret. Many cameras take their login there.
_HIDDEN_NAMES = r'[^=&;?#\s]*(?:pass|pwd|psw|token|secret|key|auth|login|user|usr|sig)[^=&;?#\s]*'


def local_path(text: str) -> Path:
    """Return the path that a text names: a file URL (RFC 8089), or a path with ~ for the home.

    %NN is decoded in a URL only. ? and # have no meaning in a file URL.
    """
    if url := re.fullmatch(
            'file:(?://(?:localhost(?=/))?|(?=/))(?P<path>.+)', text, re.IGNORECASE | re.DOTALL):
        text = unquote(url['path'], errors='surrogateescape')
    return Path(os.path.expanduser(text))  # Path.expanduser() raises for an unknown user


def redact_url(url: str) -> str:
    """Return a URL for output: the part before its last @ and secrets in its query become ***."""
    # A mistyped scheme with one slash, or none, must not expose the password either.
    url = re.sub(r':(/*).*@', r':\1***@', url, count=1, flags=re.DOTALL)
    return re.sub(rf'(?i)([?&;]{_HIDDEN_NAMES}=)[^&;#\s]*', r'\1***', url)


def add_netrc_login(url: str) -> str:
    """Return a URL with the login of its host in the file $NETRC; without one, unchanged.

    This keeps logins out of command lines and parameters. Whoever sets the parameter cannot send a
    login to another host: a ``default`` entry of the file is ignored.

    :raises SourceError: if the file does not exist or cannot be parsed.
    """
    file = os.environ.get('NETRC', '')
    try:
        host, user = urlsplit(url).hostname, urlsplit(url).username
    except ValueError:
        return url
    if not file or not host or user is not None:
        return url
    try:
        login = netrc.netrc(file).hosts.get(host)
    except (OSError, ValueError, netrc.NetrcParseError) as e:  # its text may quote secrets
        line = getattr(e, 'lineno', None)
        reason = f'line {line} cannot be parsed' if line else (
            getattr(e, 'strerror', None) or 'it is not text')
        raise SourceError(f"$NETRC '{file}' is not a valid netrc file: {reason}") from None
    if not login:
        return url
    scheme, _, rest = url.partition('://')
    user, password = (quote(part or '', safe='') for part in (login[0], login[2]))
    return f'{scheme}://{user}:{password}@{rest}'
