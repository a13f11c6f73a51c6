"""Well-known counters of multiply-adds: what each counts, as a fixed rule over the amounts of a forward pass.

The rules are those of the tools' own documentation and sources: fvcore 0.1.5 (``fvcore/nn/jit_handles.py``; mmengine
0.10 has the same), mmcv 1.7 (``mmcv/cnn/utils/flops_counter.py``), ptflops 0.7 (``ptflops/pytorch_ops.py``), thop
0.0.31 and 0.1.1 (``thop/vision/basic_hooks.py``), torchinfo 1.8 (``torchinfo/layer_info.py``). torchvision's own
figures are multiply-adds, and need no rule. Importing this module imports no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import mul
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from cardproof.measure.count.events import Event, Tally

COLUMNS = (
    "convolution own", "convolution other", "convolution bias own", "convolution bias other",
    "linear", "linear function", "recurrent", "linear bias", "head", "head bias convolution", "head bias linear",
    "head inputs", "products", "fused attention", "batch norm own", "batch norm other", "layer norm", "group norm",
    "weight norm",
    "average pool own", "average pool other", "average pool inputs", "max pool", "max pool inputs",
    "adaptive area own", "adaptive out own", "adaptive area other", "adaptive out other", "mean area", "mean out",
    "leaky relu", "relu", "relu6", "gelu", "activations", "upsample", "resized", "additions", "softmax",
    "other parameters",
)  # fmt: skip
"""Amounts for one image. ``own``: of modules of torch.nn's own classes; ``other``: of subclasses and functions. Areas
of pools are their inputs; ``other parameters`` are those of all layers but convolutions; ``weight norm`` are operations
for weights that are standardised, each time that they are used; ``upsample`` are thop's operations for resizing, and
``resized`` those of fvcore."""


class Choice(Struct, frozen=True):
    """One decision of a way of counting: its cost, the weights that it sets, and the words for a reader."""

    cost: int
    weights: tuple[tuple[str, int], ...] = ()
    counted: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class Tool(Struct, frozen=True):
    """One way in which a tool counts: tools change between versions, and see networks through their modules."""

    name: str
    """The tool, as its convention is named."""
    rule: str
    """What it counts besides multiply-adds and what it leaves out, for a reader."""
    choices: tuple[Choice, ...]

    @property
    def weights(self) -> tuple[int, ...]:
        """One per column."""
        return weights_of(self.choices)


def weights_of(choices: Sequence[Choice]) -> tuple[int, ...]:
    """Return the weights that some choices set together, one per column."""
    total: Counter[str] = Counter()
    for choice in choices:
        total.update(dict(choice.weights))
    return tuple(total[column] for column in COLUMNS)


def weighted(cost: int, word: str, **columns: int) -> Choice:
    """Return the choice to count some columns."""
    return Choice(cost, tuple((key.replace("_", " "), value) for key, value in columns.items()), (word,))


def _products(attention: bool = True, fused: bool = True) -> Choice:
    if not attention:
        return Choice(0, (), (), ("attention products",))
    return Choice(0, (("products", 1), ("fused attention", int(fused))), (), () if fused else ("fused attention",))


def _layers(head: bool, bias: str = "", functions: bool = True, recurrent: bool = True) -> tuple[Choice, ...]:
    """Return convolutions and linear layers, with the biases of both (``all``), of ``convolutions``, or of none.

    A tool that hooks modules does not see linear layers that are called as ``functions``, one that follows a trace does
    not see into ``recurrent`` layers.
    """
    columns = (("convolution own", 1), ("convolution other", 1), ("linear", 1), ("linear function", int(functions)))
    out = (*("linear layers called as functions",) * (not functions), *("recurrent layers",) * (not recurrent))
    plain = Choice(0, (*columns, ("recurrent", int(recurrent))), (), out)
    of_convolutions = weighted(0, "convolution biases", convolution_bias_own=1, convolution_bias_other=1)
    of_all = weighted(0, "biases", convolution_bias_own=1, convolution_bias_other=1, linear_bias=1)
    chosen = {"": (), "convolutions": (of_convolutions,), "all": (of_all,)}[bias]
    if not head:
        return (plain, *chosen, Choice(0, (), (), ("classifier",)))
    biases = (("head bias convolution", int(bool(bias))), ("head bias linear", int(bias == "all")))
    return (plain, *chosen, Choice(0, (("head", 1), *biases)))


_BATCH_NORM_TWICE = weighted(0, "batch norm twice", batch_norm_own=2, batch_norm_other=2)
_BATCH_NORM_FIVE = weighted(0, "batch norm five times", batch_norm_own=5, batch_norm_other=5)
_NORMS_TWICE = weighted(0, "layer and group norm twice", layer_norm=2, group_norm=2)
_NORMS_FIVE = weighted(0, "layer and group norm five times", layer_norm=5, group_norm=5)
_RESIZED_ONCE = weighted(0, "resizing", resized=1)
_WEIGHT_NORM = weighted(0, "the standardisation of weights", weight_norm=1)
_RELU = weighted(0, "ReLU", relu=1, relu6=1, leaky_relu=1)
_POOL_INPUTS = weighted(
    0, "inputs of pooling", max_pool_inputs=1, average_pool_inputs=1, adaptive_area_own=1, adaptive_area_other=1,
    mean_area=1,
)  # fmt: skip
_ADAPTIVE = weighted(0, "adaptive average pooling (its additions)", adaptive_area_own=1, adaptive_area_other=1)
_MEANS = weighted(0, "means over positions (their additions)", mean_area=1)
_PROBE = weighted(0, "a batch norm without weights before the classifier", head_inputs=1)


def _mmcv() -> Iterator[tuple[str, Tool]]:
    """Yield mmcv's counter; it sees the backbone of a classifier, whose layer norm may be a class of its own.

    The backbone of a VGG has the classifier in it.
    """
    headless, whole = _layers(False, "convolutions", False), _layers(True, "convolutions", False)
    norms = (_BATCH_NORM_TWICE, _NORMS_TWICE, _RELU, _POOL_INPUTS, _products(False))
    begin = "biases of convolutions, batch norm twice"
    counted = f"{begin}, layer and group norm twice, outputs of ReLU and inputs of pooling count"
    products = "products of attention"
    yield "mmcv", Tool("mmcv", f"{counted}; {products} and the classifier not", (*headless, *norms))
    without = f"{begin} and outputs of ReLU count; layer norm of a class of its own, {products} and the classifier not"
    few = (_BATCH_NORM_TWICE, _RELU, _products(False))
    yield "mmcv without layer norm", Tool("mmcv", without, (*headless, *few))
    yield "mmcv with classifier", Tool("mmcv", f"{counted}; {products} not", (*whole, *norms))


_POOLS = {
    "": ((), ""),
    "adaptive": ((_ADAPTIVE,), " and inputs of adaptive pooling"),
    "all": ((_ADAPTIVE, _MEANS), " and inputs of adaptive pooling and of means"),
}


def _fvcore() -> Iterator[tuple[str, Tool]]:
    """Yield fvcore, which follows a trace: what a network calls decides whether its pooling and attention are seen.

    It counts batch norm five times if the network is in training mode.
    """
    variants = [(2, pools, head, True) for head in (True, False) for pools in ("adaptive", "", "all")]
    variants += [(2, "adaptive", True, False), (5, "all", True, True), (5, "all", False, True)]
    for norm, pools, head, fused in variants:
        words = (
            f"batch norm {'twice' if norm == 2 else 'five times'}, layer and group norm five times{_POOLS[pools][1]}"
        )
        missing = [] if head else ["the classifier"]
        missing += [] if fused else ["fused attention"]
        rule = f"{words} count" + (f"; {' and '.join(missing)} not" if missing else "")
        batch_norm = _BATCH_NORM_TWICE if norm == 2 else _BATCH_NORM_FIVE
        choices = (
            *_layers(head, recurrent=False),
            batch_norm,
            _NORMS_FIVE,
            _WEIGHT_NORM,
            _RESIZED_ONCE,
            *_POOLS[pools][0],
            _products(fused=fused),
        )
        parts = [f"pools {pools or 'none'}"] * (pools != "adaptive") + ["training"] * (norm == 5)
        parts += ["without fused attention"] * (not fused) + ["without classifier"] * (not head)
        yield ", ".join(("fvcore", *parts)), Tool("fvcore", rule, choices)
    rule = (
        "layer and group norm five times and the batch norm without weights that linear probing puts before the "
        "classifier count; the classifier not"
    )
    yield "fvcore, linear probe", Tool("fvcore", rule, (*_layers(False), _NORMS_FIVE, _products(), _PROBE))


def _ptflops() -> Iterator[tuple[str, Tool]]:
    """Yield ptflops; its version 0.7 sees layers twice, also as functions, or follows a trace."""
    biased = (*_layers(True, "all"), _BATCH_NORM_TWICE, _NORMS_TWICE)
    once = (*biased, _RELU, weighted(0, "GELU", gelu=1), _POOL_INPUTS)
    rule = "biases, norms twice, outputs of ReLU and GELU and inputs of pooling count"
    yield "ptflops", Tool("ptflops", rule, (*once, _products()))
    yield "ptflops without attention", Tool("ptflops", f"{rule}; products of attention not", (*once, _products(False)))
    twice = (
        weighted(0, "ReLU twice", relu=2, relu6=1, leaky_relu=1),  # of these it sees the layers only
        weighted(0, "GELU twice", gelu=2),
        weighted(
            0, "inputs of pooling twice", max_pool_inputs=2, average_pool_inputs=2, adaptive_area_own=2,
            adaptive_area_other=1,
        ),
    )  # fmt: skip
    rule = (
        "biases, norms twice, outputs of ReLU and GELU and inputs of pooling twice (as layers and as functions) count"
    )
    yield "ptflops 0.7", Tool("ptflops", rule, (*biased, *twice, _products()))
    yield "ptflops, traced", Tool("ptflops", "biases count", (*_layers(True, "all"), _products()))


def _thop() -> Iterator[tuple[str, Tool]]:
    """Yield thop, which hooks layers of torch.nn's own classes."""
    pools = (
        weighted(0, "average pooling", average_pool_own=1),
        weighted(0, "adaptive average pooling", adaptive_area_own=1, adaptive_out_own=1),
    )
    old = (weighted(0, "batch norm twice", batch_norm_own=2), weighted(0, "leaky ReLU", leaky_relu=1))
    rule = "biases of convolutions, batch norm twice and average pooling count; products of attention not"
    yield "thop 0.0", Tool("thop", rule, (*_layers(True, "convolutions", False), *old, *pools, _products(False)))
    new = weighted(0, "batch and layer norm four times", batch_norm_own=4, layer_norm=4)
    rule = "batch and layer norm four times and average pooling count; products of attention not"
    yield "thop 0.1", Tool("thop", rule, (*_layers(True, functions=False), new, *pools, _products(False)))


def _torchinfo() -> Iterator[tuple[str, Tool]]:
    """Yield torchinfo, which multiplies parameters with the positions of convolutions only."""
    once = weighted(0, "other parameters once", other_parameters=1)
    convolutions = Choice(0, (("convolution own", 1), ("convolution other", 1)))
    biases = weighted(0, "convolution biases", convolution_bias_own=1, convolution_bias_other=1)
    rule = "biases of convolutions count, and each parameter of all other layers once an image, however many positions"
    yield "torchinfo", Tool("torchinfo", rule, (convolutions, biases, once))


TOOLS: Mapping[str, Tool] = dict((*_fvcore(), *_mmcv(), *_ptflops(), *_thop(), *_torchinfo()))
"""Each way in which a tool counts, by a name of its own."""


def amounts(tally: Tally, heads: Sequence[Event], other_parameters: int) -> tuple[int, ...]:
    """Return the amounts of a tally, in the order of :data:`COLUMNS`; ``heads`` are its classifier layers."""
    total: Counter[str] = Counter({"other parameters": other_parameters})
    of_head = set(map(id, heads))
    for event in tally.events:
        if id(event) in of_head:
            total["head"] += event.multiply_adds
            total[f"head bias {event.kind}"] += event.elements * event.bias
            total["head inputs"] += event.features[0]
        else:
            _add_event(total, event)
    return tuple(total[column] for column in COLUMNS)


def tool_values(values: Sequence[int], multiply_adds: int) -> dict[str, int]:
    """Return what each way of a tool counts, given the amounts, without those that count just the multiply-adds."""
    found = {name: sum(map(mul, tool.weights, values)) for name, tool in TOOLS.items()}
    return {name: value for name, value in found.items() if value != multiply_adds}


_PLAIN_AMOUNTS = {
    "leaky relu": "leaky relu",
    "layer norm": "layer norm",
    "group norm": "group norm",
    "add": "additions",
    "softmax": "softmax",
    "relu": "relu",
    "relu6": "relu6",
    "elu": "relu",
    "gelu": "gelu",
    "silu": "activations",
    "hard swish": "activations",
    "hard sigmoid": "activations",
    "sigmoid": "activations",
    "tanh": "activations",
    "mish": "activations",
    "hardtanh": "activations",
}


_RESIZED = {0: 1, 11: 4}
"""fvcore's operations for an element of nearest (thop counts 0) and of bilinear resizing (thop counts 11)."""


def _add_event(total: Counter[str], event: Event) -> None:
    owner = "own" if event.owner == "own" else "other"
    match event.kind:
        case "convolution":
            total[f"convolution {owner}"] += event.multiply_adds
            if event.bias:
                total[f"convolution bias {owner}"] += event.elements
        case "linear":
            seen = "recurrent" if event.detail else "linear function" if event.owner == "function" else "linear"
            total[seen] += event.multiply_adds
            if event.bias:
                total["linear bias"] += event.elements
        case "product":
            total["products"] += event.multiply_adds
        case "attention":
            total["fused attention"] += event.multiply_adds
        case "batch norm":
            total[f"batch norm {owner}"] += event.elements
        case "weight norm":
            total["weight norm"] += event.elements * event.detail
        case "average pool":
            total[f"average pool {owner}"] += event.elements
            total["average pool inputs"] += event.inputs
        case "instance norm" if event.detail:  # with weights; without them each tool has another rule
            total["group norm"] += event.elements
        case "max pool":
            total["max pool"] += event.elements
            total["max pool inputs"] += event.inputs
        case "adaptive average pool":
            total[f"adaptive area {owner}"] += event.elements * event.detail
            total[f"adaptive out {owner}"] += event.elements
        case "mean":
            total["mean area"] += event.elements * event.detail
            total["mean out"] += event.elements
        case "upsample":
            total["upsample"] += event.elements * event.detail
            total["resized"] += event.elements * _RESIZED.get(event.detail, 0)
        case kind if kind in _PLAIN_AMOUNTS:
            total[_PLAIN_AMOUNTS[kind]] += event.elements
