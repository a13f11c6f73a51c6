"""Errors of the package, one class per kind, importable without torch."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Res2NextError(Exception):
    """Base class of all errors of this package."""


class UnknownModel(Res2NextError, ValueError):  # noqa: N818 - a public name: it says what is the matter
    """A name that is neither an architecture of this package nor an ``architecture.tag`` of its registry."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.close = tuple(get_close_matches(name, tuple(known), n=3))
        """Up to three similar names, best first."""
        advice = f"did you mean {' or '.join(self.close)}?" if self.close else "see res2next.list_models()"
        super().__init__(f"res2next has no model {name!r}: {advice}")


class WeightsNotAvailable(Res2NextError, RuntimeError):  # noqa: N818 - as above
    """Weights are missing: not at the given path, and not downloadable."""

    def __init__(self, name: str, trouble: str, advice: str) -> None:
        self.name = name
        super().__init__(f"no weights for {name}: {trouble}; {advice}")


class TruncatedWeights(Res2NextError, RuntimeError):  # noqa: N818 - as above
    """A file of weights that is too short, as after an interrupted copy or download."""

    def __init__(self, place: str, file: str, size: int, expected: int, advice: str) -> None:
        super().__init__(f"{place} is truncated: {size:,} of the {expected:,} bytes of {file}; {advice}")


class WrongWeights(Res2NextError, RuntimeError):  # noqa: N818 - as above
    """A file with the name of published weights but other content."""

    def __init__(self, place: str, trouble: str, advice: str) -> None:
        super().__init__(f"{place} {trouble}; {advice}")


class UnreadableWeights(Res2NextError, RuntimeError):  # noqa: N818 - as above
    """A file without readable tensors, or whose tensors cannot be loaded without running code."""

    def __init__(self, path: Path, trouble: str, advice: str) -> None:
        self.path = path
        super().__init__(f"{path} {trouble}; {advice}")


class UnfitWeights(Res2NextError, RuntimeError):  # noqa: N818 - as above
    """Tensors that do not fit the network."""

    def __init__(self, path: Path, trouble: str, advice: str) -> None:
        self.path = path
        super().__init__(f"the weights in {path} do not fit the network: {trouble}; {advice}")


class UnreadableImage(Res2NextError, ValueError):  # noqa: N818 - as above
    """A file that cannot be decoded as an image."""

    def __init__(self, path: Path, trouble: str) -> None:
        self.path = path
        super().__init__(f"{path} cannot be read as an image: {trouble}")


class NoAnswer(Res2NextError, ArithmeticError):  # noqa: N818 - as above
    """A network whose outputs are not all finite numbers."""

    def __init__(self, count: int, outputs: int) -> None:
        super().__init__(f"{count} of the network's {outputs} outputs are not finite numbers: its weights are damaged")


class EngineNotAvailable(Res2NextError, ModuleNotFoundError):  # noqa: N818 - as above
    """An inference engine whose package is missing, or that does not support the device."""


class ExportFailed(Res2NextError, RuntimeError):  # noqa: N818 - as above
    """A network that cannot be exported to ONNX, or that gives other logits once it is exported."""
