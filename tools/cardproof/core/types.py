"""Claims, findings and judgements as frozen records, which all rooms share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import force_setattr

from cardproof.core.measurements import Stored
from cardproof.core.secrets import masked

Verdict = Literal["confirmed", "refuted", "cited", "disputed", "unchecked"]
"""Claim against evidence; the order of :data:`VERDICTS` is the order in which reports count them."""

Severity = Literal["error", "warning", "note"]

VERDICTS: tuple[Verdict, ...] = ("confirmed", "cited", "disputed", "refuted", "unchecked")
ShownVerdict = Literal["confirmed", "generated", "refuted", "cited", "disputed", "unchecked"]
"""What pages show: a confirmed value that ``cardproof init`` copied from its own measurement is *generated*."""
SHOWN_VERDICTS: tuple[ShownVerdict, ...] = ("confirmed", "generated", "cited", "disputed", "refuted", "unchecked")
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

MOST_SHOWN = 200
"""Characters of a value or a name in a sentence."""
MOST_SAID = 2000
"""Characters of a message, a hint or a reason."""
MOST_STATED = 10_000
"""Characters of a stated value that reports repeat."""


def shorten(text: str, most: int = MOST_SHOWN) -> str:
    """Return a text for a sentence; of a long one its beginning."""
    return text if len(text) <= most else f"{text[:most]}…"


class Place(Stored, frozen=True):
    """A position in a source that a person edits; lines and columns count from 1, columns in characters.

    Line 0 is not a position: ``file`` is then the name of something without a local source.
    """

    file: str
    line: int
    column: int
    end_column: int | None = None
    """Column after the last character; None if the text spans lines."""

    @property
    def start(self) -> tuple[str, int, int]:
        """What places are sorted by: file, line and column."""
        return self.file, self.line, self.column

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Fix(Stored, frozen=True):
    """A text edit within one line: columns ``[column, end_column)`` of ``line`` become ``text``."""

    line: int
    column: int
    end_column: int
    text: str
    safe: bool = False
    """It writes a measured value, or changes nothing that a reader sees; other fixes need ``--fix-unsafe``."""


INDENTED = "index-shape"
"""The check whose findings are fixed together: by the indentation of the whole index."""


class Finding(Stored, frozen=True):
    """A problem that a person must see, at the place where it can be fixed."""

    place: Place
    check: str
    severity: Severity
    message: str
    hint: str | None = None
    fix: Fix | None = None
    fatal: bool = False
    """The source could not be read at all: a render ends with exit status 2."""
    settled: Literal["", "ignored", "known"] = ""
    """Why it is a note that needs no action: a comment in the card ignores it, or it is in the baseline."""
    internal: bool = False
    """An error of cardproof itself and not of the card: the run ends with exit status 2."""

    def __post_init__(self) -> None:
        """Mask the secrets in what it says, and cut it: reports are published. Its fix is what the card will say."""
        for name in ("message", "hint"):
            text = getattr(self, name)
            if text and (safe := shorten(masked(text), MOST_SAID)) is not text:
                force_setattr(self, name, safe)


class Number(Struct, frozen=True):
    """A stated number with its precision."""

    value: Decimal
    quantum: Decimal
    """One unit of the last digit that was written: ``24.67M`` has 10,000, ``78.24`` has 0.01."""
    unit: str = ""
    """The unit as written, without its SI prefix: ``%``, ``B``, ``FLOPs``, or empty."""
    about: bool = False
    """Whether it is stated as "about" so much."""

    @property
    def digits(self) -> int:
        """How many significant digits were written."""
        return max(1, len(str(int(abs(self.value) / self.quantum))))


class Claim(Struct, frozen=True):
    """One stated value of one model."""

    model: str
    field: str
    """Its key as written; results read ``Top 1 Accuracy on ImageNet``."""
    stated: str
    """The text as written, but for credentials in it: it is shown on pages and in reports."""
    place: Place
    name: str
    """The normal spelling of its field."""
    kind: str
    """Its field in one spelling: a key of :data:`cardproof.core.field_names.FIELDS`, or ``name``."""
    number: Number | None = None
    """The stated number, if it is of the field's kind; of a metric the number as written."""
    size: tuple[int, int] | None = None
    """Height and width, if it states the size of an image."""
    value: Any = None
    """The value from YAML: number, text, or None."""
    dataset: str | None = None
    """For results: the data set's name as written."""
    task: str | None = None
    published: str | None = None
    """The source that published this value, if the card only reports it."""
    style: str = ""
    """How YAML wrote it: plain, ``'`` or ``"``; a fix keeps it."""
    metric: bool = False
    """Stated as the metric of a result."""
    column: Place | None = None
    """Head of its column, if it stands in a table: claims of one column share it."""
    operations: bool = False
    """Counts operations, twice the multiply-adds: its table has a column of multiply-adds too."""
    unread: str = ""
    """Why its number cannot be read for sure; then ``number`` is None."""

    @property
    def label(self) -> str:
        """Its field as written, with the data set of a result."""
        return f"{self.field} on {self.dataset}" if self.dataset else self.field

    @property
    def is_field(self) -> bool:
        """Whether it is about the model itself: not a metric, and not a value that others publish."""
        return not self.metric and not self.published


class Question(Struct, frozen=True):
    """A stated count that may need an explanation, or the side of an image that the network may refuse."""

    field: Literal["flops", "parameters", "min size"]
    number: Number


class Judgement(Struct, frozen=True):
    """A claim with its verdict and the grounds for it."""

    claim: Claim
    verdict: Verdict
    found: int | float | str | None = None
    unit: str = ""
    allowed: str = ""
    """The tolerance in words: ``exact``, ``±5,000``, ``±0.005``."""
    difference: str = ""
    explanation: str | None = None
    method: str = ""
    reason: str = ""
    fix: Fix | None = None
    explained: bool = False
    """A way of counting gives the stated value exactly."""
    discrepancies: tuple[str, ...] = ()
    """Kinds of discrepancy of a refuted claim: keys of :mod:`cardproof.judge.discrepancies`."""
    check: str = ""
    """The check that judged it; empty if nothing measures its field."""
    card: str = ""
    """The file of the card that was judged; the claim may be in a file that the card imports."""
    detail: str = ""
    """Details of the found value: ``9,371 of 10,000 images``."""
    interval: tuple[float, float] | None = None
    """95 % interval of an evaluated accuracy, as fractions."""
    sources: tuple[tuple[str, str], ...] = ()
    """Named sources of the claim, each with its value; ``found`` is then a source's value and was not measured."""

    def __post_init__(self) -> None:
        if len(self.reason) > MOST_SAID or len(self.explanation or "") > MOST_SAID:
            force_setattr(self, "reason", shorten(self.reason, MOST_SAID))
            force_setattr(self, "explanation", self.explanation and shorten(self.explanation, MOST_SAID))


class LocalFile(Struct, frozen=True):
    """A file of weights on this machine."""

    name: str
    """Its path for reports."""
    size: int
    sha256: str


class LocalCode(Struct, frozen=True):
    """A source file that a card links, as it is in the local repository."""

    name: str
    """Its path for reports."""
    line: int | None
    """The line in the link."""
    inside: str | None
    """Name of the outermost class or function that contains the line."""
    defines: tuple[str, ...]
    """Names of the top-level classes and functions."""


class MissingFile(Struct, frozen=True):
    """A file of its repository that a model index names, and that is missing."""

    field: str
    place: Place
    text: str
    """Its path as written."""
    folder: str
    """The folder where it should be, for reports."""
    near: str
    """The file of that folder with the nearest name; empty if none is near."""


class LicenceFile(Struct, frozen=True):
    """The licence file of a card's folder or repository."""

    name: str
    """Its path for reports."""
    licences: tuple[str, ...]
    """The licences whose text it has, by the Hub's names."""
    beside: bool
    """It lies in the card's own folder."""


class Need(Struct, frozen=True):
    """The measurements that the claims of one model need: the unit of planning and measuring."""

    model: str
    weights: str | None
    """File name of the weights that the card links; None also for a link that is named after another model."""
    size: tuple[int, int] | None
    """Height and width at which counts are made; None: the zoo's size."""
    questions: tuple[Question, ...]
    datasets: tuple[str, ...] = ()
    """Data sets on which the card states accuracies, by their canonical names."""
    network: str = ""
    """The zoo's name of the model from the table of names; empty: the model's own."""

    @property
    def in_zoo(self) -> str:
        """The name for which the zoo is asked; it may have renamed the model since."""
        return self.network or self.model
