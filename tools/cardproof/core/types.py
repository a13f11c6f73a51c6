"""The domain types as frozen records, which all rooms share."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from cardproof.core.secrets import masked

Verdict = Literal["confirmed", "refuted", "cited", "disputed", "unchecked"]
"""Claim against evidence; the order of :data:`VERDICTS` is the order in which reports count them."""

Severity = Literal["error", "warning", "note"]

VERDICTS: tuple[Verdict, ...] = ("confirmed", "cited", "disputed", "refuted", "unchecked")
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


class Stored(Struct, frozen=True, forbid_unknown_fields=True):
    """A record that is stored; JSON with an unknown field was written by a newer cardproof."""


class Place(Stored, frozen=True):
    """A position in a source that a person edits; lines and columns count from 1, columns in characters.

    Line 0 is no position: ``file`` is then the name of what has no source here.
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
    """Its field, whatever the spelling: a key of :data:`cardproof.core.names.FIELDS`, or ``name``."""
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


class Head(Stored, frozen=True):
    """The classifier layer: the last linear (or 1x1 convolution) layer that ran."""

    in_features: int
    classes: int
    bias: bool


class Totals(Stored, frozen=True):
    """The two counts that cards confuse with those of another network."""

    parameters: int
    multiply_adds: int


class Counts(Stored, frozen=True):
    """Exact counts of one network at one input, made on the meta device."""

    input_shape: tuple[int, int, int]
    """Channels, height, width of one image."""
    output_shape: tuple[int, ...]
    """Shape of the output for a batch of one."""
    parameters: int
    buffers: int
    """Values in buffers: running statistics and step counters."""
    multiply_adds: int
    state_dict_bytes: int
    """Bytes of all tensors of the state dict in their own types."""
    activations: int
    """Output elements of all convolutions for one image."""
    layers: int
    """Convolution and linear layers that ran."""
    head: Head | None
    parts: dict[str, int]
    """Modules by the word of ``Architecture`` that they answer (:mod:`cardproof.measure.count.vocabulary`)."""
    source: str
    """Where the network's class is defined: ``module:Class``."""
    uncounted: tuple[str, ...] = ()
    """Operations that ran and multiply, or may do so, and are not in ``multiply_adds``, which is too low then."""
    merged: Totals | None = None
    """Of the network with its parallel branches merged into one, as it is deployed; None if it has none to merge."""
    tools: dict[str, int] = msgspec.field(default_factory=dict)
    """What well-known counters give for the network, by their names in :mod:`cardproof.measure.count.tools`; without
    those that give the multiply-adds."""
    statistics: int = 0
    """Values in buffers of floating type, such as running means and variances: Keras counts them as parameters."""

    @property
    def folded_parameters(self) -> int:
        """The parameters if batch norms are folded into convolutions without biases: one a channel is left of two.

        The statistics are a mean and a variance for each channel.
        """
        return self.parameters - self.statistics // 2

    @property
    def all_multiply_adds(self) -> int | None:
        """The multiply-adds; None if some are not counted."""
        return None if self.uncounted else self.multiply_adds


class Unrun(Stored, frozen=True):
    """What is known of a network that could be built and not be run."""

    input_shape: tuple[int, int, int]
    """Channels, height, width of the image on which it could not be run."""
    error: str
    """The network's own error."""
    parameters: int
    buffers: int
    """Values in buffers: running statistics and step counters."""
    state_dict_bytes: int
    """Bytes of all tensors of the state dict in their own types."""
    source: str
    """Where the network's class is defined: ``module:Class``."""

    @property
    def reason(self) -> str:
        """Why nothing is known that needs a run."""
        return f"the network could not be run on one {'x'.join(map(str, self.input_shape))} image: {self.error}"


class Reproduction(Stored, frozen=True):
    """A way of counting that gives a stated number."""

    field: Literal["flops", "parameters"]
    stated: int
    value: int
    """The number that this way of counting gives."""
    exact: bool
    """Equal at the precision that was written; otherwise close (within 0.1 %)."""
    input: tuple[int, int] | None = None
    """Height and width of the input, if they differ from the card's image size."""
    factor: Fraction = msgspec.field(default_factory=lambda: Fraction(1))
    counted: tuple[str, ...] = ()
    """Counted operations that are not multiply-adds, in plain words: ``batch norm twice``."""
    left_out: tuple[str, ...] = ()
    """Multiply-adds that were not counted: ``classifier``."""
    classes: int | None = None
    """Number of classes of the head, if it is another than the network's."""
    note: str = ""
    tool: str = ""
    """The well-known counter that counts in this way."""
    proved: bool = True
    """Whether the digits rule out chance; otherwise it is a hint."""


class Preprocessing(Stored, frozen=True):
    """How a zoo prepares an image for its network."""

    input_size: tuple[int, int, int]
    """Channels, height, width."""
    crop_pct: float | None = None
    """Side of the centre crop over the side that the image is resized to."""
    interpolation: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    test_size: tuple[int, int, int] | None = None
    """A second size at which the zoo evaluates the same weights."""
    weights: str | None = None
    """File name of the weights that this belongs to."""
    test_crop_pct: float | None = None
    """The crop at ``test_size``, if it differs."""


class Measured(Struct, frozen=True):
    """The measurement of one model, or its error."""

    model: str
    counts: Counts | None
    reproductions: tuple[Reproduction, ...] = ()
    error: str | None = None
    """Why the network could not be built."""
    seconds: float = 0.0
    takes: tuple[tuple[int, bool], ...] = ()
    """Sides of square images in question, and whether the network takes them."""
    unrun: Unrun | None = None
    """Set if it could be built and not be run; then ``counts`` is None."""


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


class Environment(Stored, frozen=True):
    """Where and when something was measured; recorded with the evidence, never part of its key."""

    measured: str
    """Time in UTC, ISO 8601."""
    seconds: float
    device: str
    python: str
    torch: str
    zoo: str
    """Name and version of the distribution with the networks."""
    processor: str


class Evaluated(Stored, frozen=True):
    """The result of one model with its weights on one data set, and its inputs."""

    dataset: str
    split: str
    images: int
    top1: int
    """Images whose highest logit is that of their class."""
    top5: int
    """Images whose class is among the five highest."""
    top1_interval: tuple[float, float]
    """Wilson's 95 % interval of top-1, as fractions."""
    top5_interval: tuple[float, float]
    loss: float
    """Mean cross entropy."""
    calibration_error: float
    """Expected calibration error (Guo et al., 2017), as a fraction."""
    close_calls: int
    """Images whose result could change with the rounding of 32-bit numbers."""
    classes: tuple[str, ...]
    """Names of the classes, in order; empty if there are more than a hundred."""
    confusion: tuple[str, ...]
    """Per true class, how often each class was predicted: numbers separated by spaces; empty as above."""
    weights: str
    """Name of the file of weights."""
    weights_digest: str
    data_digest: str
    inputs: tuple[tuple[str, str], ...]
    """Inputs of the result, by name: it is valid while all of them are equal."""
    environment: Environment
    sources: tuple[tuple[str, str], ...] = ()
    """As those of :class:`Evidence`: what a zoo of the user's own loaded and read for this result."""


Curve = tuple[tuple[float, float], ...]
"""The mean loss of each epoch of a training: epoch, loss."""


class Recipe(Stored, frozen=True):
    """How weights were trained, as their zoo states it."""

    name: str
    source: str
    """Where it is stated, or that it was run here."""
    values: tuple[tuple[str, str], ...]
    """Fields in their normal spelling, such as ``lr`` or ``batch size``, with the value."""
    techniques: tuple[str, ...]
    """Training techniques, in the words of cards."""
    logged: tuple[tuple[str, str], ...] | None = None
    """The same fields from the log of the training; None if the weights come without a log."""
    logged_techniques: tuple[str, ...] = ()
    """Training techniques from that log."""
    log: str = ""
    """Name of that log."""


class SiblingCounts(Stored, frozen=True):
    """Counts of a network with the head of other weights that its zoo has under the same name."""

    weights: str
    """The zoo's name of these weights."""
    classes: int
    parameters: int
    multiply_adds: int


class StatedResult(Stored, frozen=True):
    """A result that a zoo's own metadata state for some of its weights."""

    weights: str
    """The zoo's name of the weights."""
    file: str
    """Name of their file."""
    dataset: str
    metric: str
    value: str
    """As the zoo's source writes it, with its unit."""
    place: str
    """Where the zoo's source states it: ``file:line:column``."""


class Evidence(Stored, frozen=True):
    """The measurements of one model, with their inputs and environment."""

    model: str
    zoo: str
    known_as: str
    """The zoo's current name of the model."""
    key: str
    """Digest of all inputs of the measurement: method, network source, input, questions."""
    counts: Counts | None
    reproductions: tuple[Reproduction, ...]
    preprocessing: Preprocessing | None
    error: str | None
    environment: Environment
    refused: str | None = None
    """Why the network takes no image of the card's size; ``counts`` are then made at the zoo's size."""
    evaluations: tuple[Evaluated, ...] = ()
    """Results on data sets; each depends on inputs of its own and not on ``key``."""
    outdated: tuple[Evaluated, ...] = ()
    """Results of earlier weights, networks or methods, kept because measuring them again may take hours."""
    recipe: Recipe | None = None
    """For zoos of the user's own: the zoo's description of the training."""
    takes: tuple[tuple[int, bool], ...] = ()
    """Sides of square images, and whether the network takes them, if a card states the smallest."""
    sources: tuple[tuple[str, str], ...] = ()
    """Files and distributions that a zoo of the user's own loaded or read, with digest or version: its evidence is
    valid while they are equal. A file that it looked for and did not find is ``absent``; ``folder/*.json`` are the
    names of such files in a folder that it listed."""
    unrun: Unrun | None = None
    """Set if the network could be built and not be run on an image; ``counts`` is None then."""
    siblings: tuple[SiblingCounts, ...] = ()
    """Other heads that the zoo has under this name, if the card states another number of parameters."""
    stated_results: tuple[StatedResult, ...] = ()
    """Results of all weights of this name, as the zoo's own metadata state them."""
    near_names: tuple[str, ...] | None = None
    """If the zoo has no model of this name, those of its names that are most like it."""

    @property
    def built(self) -> Counts | Unrun | None:
        """What has the parameters, buffers, bytes and source, which need no run; None if it could not be built."""
        return self.counts or self.unrun

    @property
    def missing(self) -> str:
        """Why there are no counts; empty if there are."""
        return self.error or (self.unrun.reason if self.unrun else "")

    @property
    def is_temporary_failure(self) -> bool:
        """Whether counting failed for a reason that may pass: memory, time, a worker that died."""
        return self.error is not None and (
            not self.environment.measured or self.error.startswith(("TimeoutError", "MemoryError"))
        )
