"""What a check found."""
from dataclasses import asdict, dataclass, field
from pathlib import Path
import re
from typing import Any

from gaze_ros.core.system.urls import redact_url


@dataclass
class Problem:
    """Something that is wrong.

    :ivar what: what is wrong, one line.
    :ivar do: what to do about it, one line.
    :ivar needed: whether nothing runs while it is so.
    """

    what: str
    do: str
    needed: bool = False


@dataclass
class Report:
    """Facts by their name, in the order they are told in, and troubles."""

    facts: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add_warning(self, what: str, do: str) -> 'Report':
        """Add something that runs, but not as well as it could; return itself."""
        self.problems.append(Problem(what, do))
        return self

    def add_error(self, what: str, do: str) -> 'Report':
        """Add something without which nothing runs; return itself."""
        self.problems.append(Problem(what, do, True))
        return self

    def add_fact(self, name: str, value: Any) -> None:
        """Add a fact; what a bug report should not hold is left out of it."""
        self.facts[name] = _clean(str(value))

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        clean = [Problem(_clean(t.what), _clean(t.do), t.needed) for t in self.problems]
        return {'facts': self.facts, 'troubles': [asdict(t) for t in clean]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> 'Report':
        """Return what :meth:`as_dict` returned.

        :raises KeyError, TypeError: where it did not.
        """
        return cls(dict(data['facts']), [Problem(**t) for t in data['troubles']])


def _clean(text: str) -> str:
    """Return a text on one line, without passwords of URLs and the name of the home folder."""
    text = redact_url(' '.join(text.split()))
    text = re.sub(r'[^\s/:]+@(?=\w)', '***@', text)  # a URL that was split at its colons
    try:
        home = str(Path.home())
    except RuntimeError:  # a user without one
        return text
    return re.sub(re.escape(home) + r'(?=/|\W|$)', '~', text) if len(home) > 1 else text
