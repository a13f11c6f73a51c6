"""Engines: where measurements run. Each takes calls and gives futures, so that one code submits to all of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from cardproof.core.errors import InputError
from cardproof.plan.options import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from typing import Any

    from cardproof.core.types import Evaluated
    from cardproof.plan.evaluations import Job
    from cardproof.plan.options import Progress

    Submit = Callable[..., Future[Any]]
    """``submit(function, *arguments)``: the function is a module's, and it and its arguments can be pickled."""


class EngineError(InputError):
    """An engine that cannot be used: no scheduler, other code on its workers, a package that is missing."""


class Engine(Protocol):
    """Where measurements run."""

    lost: tuple[type[BaseException], ...]
    """What a future raises whose worker died."""

    def open(self, zoo: str, calls: int) -> AbstractContextManager[Submit]:
        """Give what takes that many calls which measure networks of a zoo. Raises EngineError."""

    def evaluate(self, jobs: list[Job], zoo: str, progress: Progress | None) -> Iterator[tuple[Job, Evaluated | str]]:
        """Evaluate models, and yield each result, or why there is none, as soon as it is there. Raises EngineError."""


def check_engine(name: str) -> None:
    """Raise EngineError for a text that names no engine."""
    if name != LOCAL and not re.fullmatch(r"(tcp|tls|ws|wss|ucx)://\S+", name):
        raise EngineError(
            f"engine '{name}' is not known: write '{LOCAL}' or the address of a Dask scheduler, such as tcp://host:8786"
        )
