"""The report of a check: facts and problems."""
from dataclasses import asdict, dataclass, field
from pathlib import Path
import re
from typing import Any

from gaze_ros.core.system.urls import redact_url


@dataclass
class Problem:
    """A problem with its remedy; the field names are keys of ``--json``.

    :ivar what: the problem, one line.
    :ivar do: the remedy, one line.
    :ivar needed: whether nothing runs until it is solved.
    """

    what: str
    do: str
    needed: bool = False


@dataclass
class Report:
    """Facts by name, in the order of their output, and problems."""

    facts: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add_warning(self, what: str, do: str) -> 'Report':
        """Add a problem with which everything still runs; return the report."""
        self.problems.append(Problem(what, do))
        return self

    def add_error(self, what: str, do: str) -> 'Report':
        """Add a problem with which nothing runs; return the report."""
        self.problems.append(Problem(what, do, True))
        return self

    def add_fact(self, name: str, value: Any) -> None:
        """Add a fact; private data is removed from its value."""
        self.facts[name] = _clean(str(value))

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON data; private data is removed."""
        problems = [Problem(_clean(p.what), _clean(p.do), p.needed) for p in self.problems]
        return {'facts': self.facts, 'troubles': [asdict(p) for p in problems]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> 'Report':
        """Return the report from the data of :meth:`as_dict`.

        :raises KeyError, TypeError: if the data is invalid.
        """
        return cls(dict(data['facts']), [Problem(**p) for p in data['troubles']])


def _clean(text: str) -> str:
    """Return a text on one line, without passwords in URLs and the path of the home folder."""
    text = redact_url(' '.join(text.split()))
    text = re.sub(r'[^\s/:]+@(?=\w)', '***@', text)  # a URL split at its colons
    try:
        home = str(Path.home())
    except RuntimeError:  # a user without a home folder
        return text
    return re.sub(re.escape(home) + r'(?=/|\W|$)', '~', text) if len(home) > 1 else text
