"""Records of a forward pass: one event for every operation that some way of counting includes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

if TYPE_CHECKING:
    from torch import nn

Owner = Literal["own", "subclass", "function"]
"""Who called: a module of torch.nn's own class, of a class derived from it, or something else."""

Family = type | tuple[type, ...]


class Convolution(Struct, frozen=True):
    """The shape of one convolution."""

    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    groups: int
    strided: bool
    area: int
    """Output positions."""
    weight: Literal["parameter", "buffer", "computed"]


class Event(Struct, frozen=True):
    """One operation that ran."""

    kind: str
    """``convolution``, ``linear``, ``product``, ``batch norm``, ``average pool``, ``add`` and so on."""
    owner: Owner
    elements: int
    """Output elements for one image."""
    multiply_adds: int = 0
    bias: bool = False
    detail: int = 0
    """Depends on the kind: pooled positions, parts of a split or cat, heads, cost of an upsampling, 1 for a
    linear part of a recurrent layer, of batch norm the operations for an element in training mode (four, five with a
    factor for each channel)."""
    shape: tuple[int, ...] = ()
    """For linear layers: features in, features out, axes of the input."""
    inputs: int = 0
    """Elements that a pool takes."""
    convolution: Convolution | None = None

    @property
    def features(self) -> tuple[int, int]:
        """Of a convolution or linear layer: features in and out of a position."""
        shape = self.convolution
        return (shape.inputs, shape.outputs) if shape else (self.shape[0], self.shape[1])


class Tally(Struct):
    """All that ran in a forward pass of one image."""

    events: list[Event] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """Names of the kernels that reached torch's dispatcher."""
    uncounted: set[str] = field(default_factory=set)
    """Operations that multiply, or may do so, and of which no multiply-adds are counted."""
    ran: set[int] = field(default_factory=set)
    """Identities of the modules that ran."""
    classes: set[str] = field(default_factory=set)
    """Names of the module classes that ran."""
    output_shapes: tuple[tuple[int, ...], ...] = ()
    modules: list[nn.Module] = field(default_factory=list)
    """The modules now running, innermost last."""
    composite: str = ""
    """The composite layer (multi-head attention, recurrent, power pool, response or instance norm) that is running: its
    matrix products are linear layers, and its average pools and batch norms are its own."""

    def owner(self, family: Family) -> Owner:
        """Return how the innermost module is related to ``family``, classes of torch.nn."""
        cls = type(self.modules[-1]) if self.modules else object
        if not issubclass(cls, family):
            return "function"
        return "own" if cls.__module__.startswith("torch.nn.modules.") else "subclass"

    def record(self, kind: str, elements: int, family: Family = (), **extra: Any) -> None:
        """Record an event of the innermost module."""
        self.events.append(Event(kind, self.owner(family), elements, **extra))
