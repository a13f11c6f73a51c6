"""Completion in shells: what an option or argument may be, as click asks for it while somebody types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from cardproof.core.names import ACCURACIES, RECIPE, spellings_of

if TYPE_CHECKING:
    from collections.abc import Iterable

TOLERANCES = ("exact", "written")
"""Those that are words; the others have a number."""


def zoos(begun: str) -> list[CompletionItem]:
    """Return zoos by name; for what has a slash or a dot, files."""
    from cardproof.zoos import BUILT_IN

    files = [CompletionItem(begun, type="file")] if "/" in begun or "." in begun else []
    return files or _beginning(begun, BUILT_IN)


def checks(begun: str) -> list[CompletionItem]:
    """Return the checks and the words in brackets of findings, each with what its check is about."""
    from cardproof.judge.checks import all_checks

    words = {word: check for check in all_checks() for word in (check.name, *check.findings)}
    return [
        CompletionItem(word, help=check.page.partition(":")[0].strip())
        for word, check in sorted(words.items())
        if word.startswith(begun)
    ]


def forced(begun: str) -> list[CompletionItem]:
    """Return the fields that can be measured again; models may be named too."""
    from cardproof.plan.force import COUNTS, EVERYTHING, RESULTS

    return _beginning(begun, (*COUNTS, RESULTS, EVERYTHING))


def tolerances(begun: str) -> list[CompletionItem]:
    """Return the fields that are compared with a tolerance; behind ``=``, tolerances."""
    field, separator, _ = begun.partition("=")
    if separator:
        return _beginning(begun, (f"{field}={one}" for one in TOLERANCES))
    numbers = spellings_of("flops", "parameters", "file size", *ACCURACIES, *RECIPE)
    return _beginning(begun.lower(), (f"{name.replace(' ', '-')}=" for name in sorted(numbers)))


def data_sets(begun: str) -> list[CompletionItem]:
    """Return the data sets that can be evaluated."""
    from cardproof.core.names import dataset_names

    return _beginning(begun, (f"{name}=" for name in dataset_names()))


def targets(begun: str) -> list[CompletionItem]:
    """Return the formats that can be written."""
    from cardproof.report.formats import FORMATS

    return _beginning(begun, (f"{name}=" for name in FORMATS[1:]))


def _beginning(begun: str, words: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(begun)]
