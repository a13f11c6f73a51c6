"""What can go wrong when a network is asked for: one class per kind of trouble, importable without torch."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class UnknownModel(ValueError):  # noqa: N818 - a public name: it says what is the matter
    """A name that is neither an architecture of this package nor an ``architecture.tag`` of its registry."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.close = tuple(get_close_matches(name, tuple(known), n=3))
        """Up to three known names that are spelled alike, best first."""
        advice = f"did you mean {' or '.join(self.close)}?" if self.close else "see res2next.list_models()"
        super().__init__(f"res2next has no model {name!r}: {advice}")


class WeightsNotAvailable(RuntimeError):  # noqa: N818 - as above
    """Trained weights were asked for, and this version of the package cannot fetch any."""

    def __init__(self, name: str, file: str, url: str) -> None:
        self.name = name
        super().__init__(
            f"no trained weights for {name}: res2next cannot download them yet. They are published as {file} "
            f"at {url}. Fetch the file yourself and call "
            f"model.load_state_dict(torch.load({file!r}, weights_only=True)); "
            "downloading comes with the registry of weights"
        )
