"""What can go wrong with a data set: one class per kind of trouble."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from res2next.errors import Res2NextError

if TYPE_CHECKING:
    from collections.abc import Iterable


class UnknownDataset(Res2NextError, ValueError):  # noqa: N818 - a public name: it says what is the matter
    """A name that is neither a data set of this package nor another name for one."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        known = tuple(known)
        lower = {candidate.lower(): candidate for candidate in known}
        self.close = tuple(lower[match] for match in get_close_matches(name.lower(), lower, n=3))
        """Up to three known names that are spelled alike, best first."""
        advice = f"did you mean {' or '.join(self.close)}?" if self.close else f"there are {', '.join(known)}"
        super().__init__(f"res2next has no data set {name!r}: {advice}")


class DataSetNotFound(Res2NextError, FileNotFoundError):  # noqa: N818 - as above
    """The files of a data set are not where they were looked for; the message says which file goes where."""


class DataSetIncomplete(Res2NextError, ValueError):  # noqa: N818 - as above
    """Classes, images or labels are missing, or there are more than the data set has."""


class DataSetDamaged(Res2NextError, ValueError):  # noqa: N818 - as above
    """A file of the data set is cut short, or is not the one that was published."""


class WrongLabels(Res2NextError, ValueError):  # noqa: N818 - as above
    """Labels that are not the data set's: another order of classes, or of images."""


class CorruptImage(Res2NextError, OSError):  # noqa: N818 - as above
    """An image that cannot be decoded; it is never left out.

    Takes one text, so that it comes through torch's worker processes as what it is.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
