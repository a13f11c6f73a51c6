"""What was measured of a model, as records that are stored or sent between processes."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import msgspec
from msgspec import Struct


class Stored(Struct, frozen=True, forbid_unknown_fields=True):
    """A record that is stored; JSON with an unknown field was written by a newer cardproof."""


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
    """Modules by the word of ``Architecture`` that they answer (:mod:`cardproof.measure.count.architecture_words`)."""
    source: str
    """Where the network's class is defined: ``module:Class``."""
    uncounted: tuple[str, ...] = ()
    """Operations that ran and multiply, or may do so, and are not in ``multiply_adds``, which is too low then."""
    merged: Totals | None = None
    """Of the network with its parallel branches merged into one, as it is deployed; None if it has none to merge."""
    tools: dict[str, int] = msgspec.field(default_factory=dict)
    """What well-known counters give for the network, by their names in
    :mod:`cardproof.measure.count.counting_tools`; without those that give the multiply-adds."""
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
    """What is known of a network that could be built but not run."""

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
        """Why the values that need a run are missing."""
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
    takes: tuple[tuple[int, bool], ...] = ()
    """Sides of square images in question, and whether the network takes them."""
    unrun: Unrun | None = None
    """Set if it could be built and not be run; then ``counts`` is None."""


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
    """As those of :class:`Evidence`: what a custom zoo loaded and read for this result."""


class Curve(Struct, frozen=True):
    """The course of a training, from the log that comes with the weights."""

    losses: tuple[tuple[float, float], ...]
    """Epoch, and its mean training loss."""
    accuracies: tuple[tuple[float, float], ...] = ()
    """Epoch, and share of held-out images that were classified correctly; empty if none were held out."""
    held_out: int = 0
    """Number of held-out images."""
    seconds: float = 0.0
    """Duration; 0 if unknown."""
    hardware: str | None = None


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
    """For custom zoos: the zoo's description of the training."""
    takes: tuple[tuple[int, bool], ...] = ()
    """Sides of square images, and whether the network takes them, if a card states the smallest."""
    sources: tuple[tuple[str, str], ...] = ()
    """Files and distributions that a custom zoo loaded or read, with digest or version: its evidence is
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
        """Why there are no counts, without the kind of an error that a zoo words itself; empty if there are."""
        kind, _, text = (self.error or "").partition(": ")
        worded = text if kind in ("LookupError", "UnknownModel") else ""
        return worded or self.error or (self.unrun.reason if self.unrun else "")

    @property
    def is_temporary_failure(self) -> bool:
        """Whether counting failed for a reason that may pass: memory, time, a worker that died."""
        return self.error is not None and (
            not self.environment.measured or self.error.startswith(("TimeoutError", "MemoryError"))
        )
