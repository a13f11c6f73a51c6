"""Words of the field ``Architecture``, decided by the operations that a network ran.

A word is *present* if its operation or pattern ran, and *absent* only if the run proves that the network cannot have
it. Everything else is *unknown*: a softmax that a network leaves to its loss, a dropout whose rate is zero by default,
a block that only its class name would show. Names of models are never used; names of classes can only prevent a proof
of absence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cardproof.measure.count.events import Convolution, Event, Tally

Presence = Literal["present", "absent", "unknown"]


def word_presence(word: str, found: dict[str, int]) -> Presence:
    """Return whether a network has what ``word`` names; ``found`` is the result of :func:`count_words`."""
    count = found.get(_canonical(word))
    if count is None:
        return "unknown"
    return "present" if count else "absent"


def count_words(result: Tally) -> dict[str, int]:
    """Return how often each decided word occurs: 0 if absence is proved, no entry if undecided.

    An operation that is not counted may be anything, so nothing is proved absent then.
    """
    found = _count_occurrences(result)
    proofs = _AbsenceProofs(result, found)
    decided = {word: found[word] for word in _WORDS if found[word] or (not result.uncounted and proofs.absent(word))}
    return dict(sorted(decided.items()))


def _canonical(word: str) -> str:
    plain = " ".join(word.lower().replace("-", " ").replace("_", " ").split())
    return _ALIASES.get(plain, _BY_LOWERCASE.get(plain, word))


_SIMPLE = {
    "Convolution": ("convolution",),
    "Batch Normalization": ("batch norm",),
    "Layer Normalization": ("layer norm",),
    "Group Normalization": ("group norm",),
    "ReLU": ("relu",),
    "ReLU6": ("relu6",),
    "Leaky ReLU": ("leaky relu",),
    "GELU": ("gelu",),
    "Swish": ("silu",),
    "Hard Swish": ("hard swish",),
    "Mish": ("mish",),
    "Sigmoid": ("sigmoid",),
    "Hard Sigmoid": ("hard sigmoid",),
    "Tanh Activation": ("tanh",),
    "Softmax": ("softmax", "attention"),
    "Max Pooling": ("max pool", "adaptive max pool"),
    "Average Pooling": ("average pool", "adaptive average pool"),
    "Dropout": ("dropout",),
    "Dense Connections": ("linear",),
    "Weight Standardization": ("weight norm",),
    "Scaled Dot-Product Attention": ("attention", "multi-head attention"),
    "Multi-Head Attention": ("multi-head attention",),
    "Concatenated Skip Connection": ("cat",),
}
"""Word -> the kinds of event that it means."""

_PATTERNS = (
    "1x1 Convolution", "Grouped Convolution", "Depthwise Convolution", "Depthwise Separable Convolution",
    "Global Average Pooling", "Residual Connection", "Residual Block", "Squeeze-and-Excitation Block",
    "Efficient Channel Attention", "Blur Pooling", "Bottleneck Residual Block", "Inverted Residual Block",
    "ResNeXt Block", "Res2Net Block", "Res2NeXt Block",
)  # fmt: skip
"""Words for a pattern of events."""

_NEED_CAT = (
    "Dense Block", "DPN Block", "One-Shot Aggregation", "SelecSLS Block", "Inception-v3 Module", "Inception-A",
    "Inception-B", "Inception-C", "Reduction-A", "Reduction-B",
)  # fmt: skip
"""Blocks that events cannot prove present, but that are absent if nothing is concatenated."""

_NEED_GATE = ("Split Attention", "Selective Kernel")
"""Blocks that events cannot prove present, but that are absent if no activations are multiplied."""

_WORDS = (*_SIMPLE, *_PATTERNS, *_NEED_CAT, *_NEED_GATE)

_BY_LOWERCASE = {word.lower().replace("-", " "): word for word in _WORDS}

_ALIASES = {
    "silu": "Swish",
    "swish/silu": "Swish",
    "sigmoid linear unit": "Swish",
    "hardswish": "Hard Swish",
    "rectified linear unit": "ReLU",
    "rectified linear units": "ReLU",
    "tanh": "Tanh Activation",
    "sigmoid activation": "Sigmoid",
    "linear layer": "Dense Connections",
    "fully connected layer": "Dense Connections",
    "pointwise convolution": "1x1 Convolution",
    "batchnorm": "Batch Normalization",
    "layernorm": "Layer Normalization",
    "groupnorm": "Group Normalization",
    "anti alias downsampling": "Blur Pooling",
    "anti aliased downsampling": "Blur Pooling",
    "blurpool": "Blur Pooling",
    "squeeze and excitation": "Squeeze-and-Excitation Block",
    "skip connection": "Residual Connection",
    "multihead attention": "Multi-Head Attention",
    "average pool": "Average Pooling",
    "max pool": "Max Pooling",
    "split attention block": "Split Attention",
    "selective kernel convolution": "Selective Kernel",
}


def _count_occurrences(result: Tally) -> Counter[str]:
    events = result.events
    kinds = Counter(event.kind for event in events)
    found = Counter({word: sum(kinds[kind] for kind in simple) for word, simple in _SIMPLE.items()})
    shapes = [event.convolution for event in events if event.convolution]
    learned = [shape for shape in shapes if shape.weight != "buffer"]
    averages = sum(map(_is_global_average, events))
    found["1x1 Convolution"] = sum(map(_is_pointwise, shapes))
    found["Grouped Convolution"] = sum(shape.groups > 1 for shape in learned)
    found["Depthwise Convolution"] = sum(map(_is_depthwise, learned))
    found["Depthwise Separable Convolution"] = min(found["Depthwise Convolution"], found["1x1 Convolution"])
    found["Blur Pooling"] = sum(_is_depthwise(s) and s.strided and s.weight == "buffer" for s in shapes)
    found["Global Average Pooling"] = averages
    found["Average Pooling"] += sum(event.kind == "mean" and _is_global_average(event) for event in events)
    found["Dense Connections"] += sum(_is_pointwise(shape) and shape.area == 1 for shape in shapes)
    found["Residual Connection"] = sum(event.kind == "add" and not event.detail for event in events)
    found["Residual Block"] = found["Residual Connection"]
    found["Multi-Head Attention"] += sum(event.kind == "attention" and event.detail > 1 for event in events)
    found.update(_gates(events))
    found.update(_blocks(events))
    found.update(_split_blocks(events))
    return found


def _is_pointwise(shape: Convolution) -> bool:
    return len(shape.kernel) == 2 and set(shape.kernel) == {1}


def _is_depthwise(shape: Convolution) -> bool:
    return shape.groups == shape.inputs > 1


def _is_global_average(event: Event) -> bool:
    if event.kind == "adaptive average pool":
        return set(event.shape) == {1}
    if event.kind == "average pool":
        return event.detail < 0
    return event.kind == "mean" and event.shape in ((4, 2, 3), (4, 1, 2), (3, 1), (3, 2))


def _gates(events: Iterable[Event]) -> Iterator[str]:
    """Yield per-channel gates: pooled, weighted, squashed, multiplied.

    Two layers make squeeze-and-excitation, one along the channels makes efficient channel attention.
    """
    layers: list[Event] = []
    squashed = False
    for event in events:
        if _is_global_average(event):
            layers, squashed = [], False
        elif event.kind in ("convolution", "linear"):
            layers.append(event)
        elif event.kind in ("sigmoid", "hard sigmoid", "relu6"):
            squashed = True
        elif event.kind == "multiply" and event.detail and squashed:
            if len(layers) == 1 and layers[0].convolution and len(layers[0].convolution.kernel) == 1:
                yield "Efficient Channel Attention"
            elif len(layers) == 2:
                yield "Squeeze-and-Excitation Block"
            layers, squashed = [], False


def _blocks(events: Iterable[Event]) -> Iterator[str]:
    """Yield residual blocks by the convolutions between two additions, without gates: 1x1, larger, 1x1."""
    path: list[Convolution] = []
    for event in events:
        if event.convolution and event.convolution.area > 1:
            path.append(event.convolution)
        elif event.kind == "add" and not event.detail and event.elements:
            yield from _block(path)
            path = []


def _block(path: list[Convolution]) -> Iterator[str]:
    """Yield the names of the last 1x1, larger, 1x1 on a path; the 1x1 of a shortcut may follow."""
    for start, shape in enumerate(path):
        middle = path[start + 1 : start + 2]
        last = path[start + 2 : start + 3]
        if not (_is_pointwise(shape) and middle and last and _is_pointwise(last[0])) or _is_pointwise(middle[0]):
            continue
        if _is_depthwise(middle[0]) and last[0].outputs < last[0].inputs:
            yield "Inverted Residual Block"
            return
        grouped = 1 < middle[0].groups < middle[0].inputs
        if grouped:
            yield "ResNeXt Block"
        if grouped or last[0].outputs > middle[0].outputs or shape.outputs < shape.inputs:
            yield "Bottleneck Residual Block"
            return


def _split_blocks(events: Iterable[Event]) -> Iterator[str]:
    """Yield Res2Net blocks: channels split in n, n - 1 equal convolutions in sequence, n parts concatenated."""
    split = 0
    path: list[Convolution] = []
    for event in events:
        if event.kind == "split":
            split, path = event.detail, []
        elif event.convolution and split:
            path.append(event.convolution)
        elif event.kind == "cat" and split:
            widths = {(shape.inputs, shape.outputs, shape.kernel) for shape in path}
            if event.detail == split > 1 and len(path) == split - 1 and len(widths) == 1:
                yield "Res2NeXt Block" if path[0].groups > 1 else "Res2Net Block"
            split = 0


_OTHER_FORMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ReLU": (("relu6", "hardtanh"), ("relu", "relu_", "clamp", "clamp_", "clamp_min", "threshold", "maximum")),
    "ReLU6": (("hardtanh", "hard sigmoid", "hard swish"), ("clamp", "clamp_", "hardtanh", "minimum")),
    "Leaky ReLU": ((), ("leaky_relu", "leaky_relu_", "where", "maximum", "_prelu_kernel")),
    "GELU": (("sigmoid", "tanh"), ("gelu", "erf", "tanh", "sigmoid")),
    "Swish": (("sigmoid",), ("silu", "silu_", "sigmoid", "sigmoid_")),
    "Hard Swish": (("relu6", "hardtanh", "hard sigmoid"), ("hardswish", "hardtanh", "clamp", "hardsigmoid")),
    "Mish": (("tanh",), ("mish", "softplus")),
    "Sigmoid": (("silu", "hard sigmoid", "hard swish", "recurrent"), ("sigmoid", "sigmoid_", "silu", "exp")),
    "Hard Sigmoid": (("relu6", "hardtanh", "hard swish"), ("hardsigmoid", "clamp", "hardtanh")),
    "Tanh Activation": (("gelu", "mish", "recurrent"), ("tanh", "tanh_")),
    "Max Pooling": ((), ("max", "amax", "max_pool2d_with_indices", "adaptive_max_pool2d", "topk", "sort")),
    "Average Pooling": (("mean",), ("mean", "sum", "avg_pool2d", "_adaptive_avg_pool2d", "cumsum")),
    "Global Average Pooling": (
        ("mean", "average pool", "adaptive average pool"),
        ("mean", "sum", "avg_pool2d", "_adaptive_avg_pool2d"),
    ),
    "Residual Connection": (("add",), ("add", "add_", "sum", "addcmul", "lerp", "stack")),
    "Squeeze-and-Excitation Block": (("multiply",), ("mul", "mul_", "addcmul", "lerp")),
    "Multi-Head Attention": (("softmax", "attention"), ("_softmax", "exp")),
    "Scaled Dot-Product Attention": (("softmax", "attention"), ("_softmax", "exp")),
    "Concatenated Skip Connection": ((), ("cat", "stack")),
    "Grouped Convolution": (("split",), ("split", "slice", "narrow", "unbind")),
    "1x1 Convolution": (("linear", "product"), ("mm", "addmm", "bmm")),
    "Convolution": (("product",), ("unfold", "im2col", "_fft_r2c")),
}
"""Word -> kinds of event and names of kernels that may be another form of it."""

_SAME_FORMS = {
    "Residual Block": "Residual Connection",
    "Efficient Channel Attention": "Squeeze-and-Excitation Block",
    **dict.fromkeys(_NEED_CAT, "Concatenated Skip Connection"),
    **dict.fromkeys(_NEED_GATE, "Squeeze-and-Excitation Block"),
}

_NORMS = {"Batch Normalization": "batchnorm", "Layer Normalization": "layernorm", "Group Normalization": "groupnorm"}


class _AbsenceProofs:
    """Decides which words a run proves absent."""

    def __init__(self, result: Tally, found: Counter[str]) -> None:
        self.found = found
        self.names = result.names
        self.classes = {name.lower() for name in result.classes if "norm" in name.lower()}
        self.kinds = {event.kind for event in result.events}
        self.shapes = [event.convolution for event in result.events if event.convolution]

    def absent(self, word: str) -> bool:
        """Return whether ``word``, which did not occur, cannot be present in another form either."""
        match word:
            case "Batch Normalization" | "Layer Normalization" | "Group Normalization":
                return self._no_norm(_NORMS[word])
            case "Depthwise Convolution" | "Depthwise Separable Convolution":
                return not self.found["Depthwise Convolution"] and self._did_not_run("Grouped Convolution")
            case "Weight Standardization":
                return all(shape.weight != "computed" for shape in self.shapes)
            case "Blur Pooling":
                return self.kinds.isdisjoint({"average pool", "upsample"}) and not any(
                    _is_depthwise(shape) or shape.weight != "parameter" for shape in self.shapes
                )
            case "Bottleneck Residual Block" | "Inverted Residual Block" | "ResNeXt Block":
                return self._did_not_run("Residual Connection") or self._did_not_run("1x1 Convolution")
            case "Res2Net Block" | "Res2NeXt Block":
                return self._did_not_run("Concatenated Skip Connection")
        doubt = _SAME_FORMS.get(word, word)
        return doubt in _OTHER_FORMS and self._did_not_run(doubt)

    def _did_not_run(self, word: str) -> bool:
        """Return whether neither the word nor another form of it ran."""
        kinds, names = _OTHER_FORMS[word]
        return not self.found[word] and self.kinds.isdisjoint(kinds) and self.names.isdisjoint(names)

    def _no_norm(self, token: str) -> bool:
        """Return whether no norm of this kind ran, no class has its name, and all norms that ran are of known kinds."""
        named = all(any(other in name for other in _NORMS.values()) for name in self.classes)
        own = any(token in name for name in self.classes)
        manual = {"var", "var_mean", "std", "std_mean", "native_batch_norm"} & self.names
        return named and not own and not manual
