"""Causes: what a block that failed or did not run only follows from: one cause is one failure."""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence

from msgspec.structs import replace

from cardproof.snippets.run.schedule import Scope
from cardproof.snippets.types import Block, Outcome

_BUILTIN = frozenset(dir(builtins))
_UNDEFINED = re.compile(r"NameError: name '(\w+)' is not defined")
_UNDECLARED = re.compile(r"NameError: name '([A-Z][A-Z0-9_]+)' is not defined")
_OTHER_LANGUAGE = re.compile(r"NameError: name '(true|false|null|none)' is not defined")
_PYTHON = {"true": "True", "false": "False", "null": "None", "none": "None"}
_MISSING = (
    (re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'"), "the module '{}', which is missing"),
    (_UNDEFINED, "'{}', which is not defined"),
    (re.compile(r"AttributeError: (module '[\w.]+' has no attribute '\w+')"), "what is missing ({})"),
    (re.compile(r"TypeError: ('module' object is not callable)"), "a function that is a module here ({})"),
    (re.compile(r"ImportError: (cannot import name '\w+' from '[\w.]+')"), "what is missing ({})"),
    (re.compile(r"FileNotFoundError: .*No such file or directory: (.+)"), "the file {}, which is missing"),
)
"""Errors that say what is missing, and the words for it in the message of a block that needs the same."""
_UNGUARDED = "before the current process has finished its bootstrapping phase"
_STATES = {
    "skip": "was skipped",
    "not-run": "was not run",
    "fail": "failed",
    "pass": "ran in a process that was ended",  # nosec B105  # a status of a block, not a password
}


def with_causes(outcomes: Sequence[Outcome], *, of_site: bool = True) -> list[Outcome]:
    """Return the outcomes of a page's blocks, in page order, with their causes; ``of_site``: the page has a mkdocs.yml.

    A block counts as not run if it needs a name of a block that failed or did not run, or something that was missing
    for an earlier block. Outputs that depend on such a block are not updated.
    """
    scope = Scope([outcome.block for outcome in outcomes])
    result: list[Outcome] = []
    missing: dict[str, Outcome] = {}
    unsound: set[str] = set()
    without: dict[str, str] = {}
    """Names that have values which the code took because something was refused, and what that was."""
    first = 0
    for index, outcome in enumerate(outcomes):
        if outcome.block.options.fresh:
            first, missing = index, {text: cause for text, cause in missing.items() if "not defined" not in text}
            unsound, without = set(), {}
            scope.forget()
        reads, gives, ran = set(scope.reads(index)) - _BUILTIN, scope.gives(index), outcome.ran
        outcome = (
            _with_missing_name(outcome, result)
            or _with_undefined_name(outcome, result, first, scope)
            or _drop_repeated(outcome, missing)
        )
        affected = tuple(without[name] for name in sorted(reads & without.keys()))
        refused = (*(ran.refused_before if ran else ()), *affected)[:1]
        if refused and outcome.status == "fail" and outcome.expected_line is not None:
            message, hint = f"needs {refused[0]}: its output is another without", hint_for_needs(refused[0], of_site)
            outcome = replace(outcome, status="not-run", message=message, hint=hint)
        result.append(replace(outcome, may_update=not (reads & unsound or (ran and ran.random_weights))))
        is_sound = outcome.status == "pass" or (outcome.status == "fail" and bool(ran and ran.ended and not ran.error))
        if not is_sound:
            unsound |= gives | reads
        elif reads & unsound:
            unsound |= gives
        else:
            unsound -= gives
        without = {name: what for name, what in without.items() if name not in gives}
        without |= dict.fromkeys(gives, lacked[0]) if (lacked := (*(ran.refused if ran else ()), *affected)) else {}
        scope.end(index)
    return result


def _with_missing_name(outcome: Outcome, earlier: Sequence[Outcome]) -> Outcome | None:
    """Return the outcome of a block that did not run, as a name is missing; None for others."""
    if outcome.status != "not-run" or outcome.ran is None or outcome.ran.needs_block is None:
        return None
    name, number = outcome.ran.needs_block
    return _not_run_because(outcome, name, earlier[number]) if number < len(earlier) else None


def _with_undefined_name(outcome: Outcome, earlier: Sequence[Outcome], first: int, scope: Scope) -> Outcome | None:
    """Return the outcome of a block that lacks a name which a block before it would have given."""
    undefined = _UNDEFINED.search(outcome.message) if outcome.status == "fail" else None
    for number in range(len(earlier) - 1, first - 1, -1) if undefined else ():
        before = earlier[number]
        lacks = before.status != "pass" or _has_skipped_example(before.block)
        if lacks and undefined and not {undefined[1], "*"}.isdisjoint(scope.gives(number)):
            return _not_run_because(outcome, undefined[1], before)
    return None


def _has_skipped_example(block: Block) -> bool:
    from cardproof.snippets.compare.stated_outputs import expectations

    return block.console and any(stated.example and stated.example.left_out for stated in expectations(block))


def _drop_repeated(outcome: Outcome, missing: dict[str, Outcome]) -> Outcome:
    """Return the outcome of a block; one that only lacks what an earlier block lacked is not run."""
    error = outcome.ran.error if outcome.ran and outcome.status == "fail" else None
    for pattern, words in _MISSING:
        if match := pattern.match(error or ""):
            text = words.format(match[1])
            if (cause := missing.setdefault(text, outcome)) is not outcome:
                message = f"needs {text}: see the block at {cause.block.seen_from(outcome.block)}, which failed"
                return replace(outcome, status="not-run", message=message, hint=None)
    return outcome


def _not_run_because(outcome: Outcome, name: str, cause: Outcome) -> Outcome:
    state = "leaves it out" if cause.status == "pass" and _has_skipped_example(cause.block) else _STATES[cause.status]
    message = f"needs '{name}' of the block at {cause.block.seen_from(outcome.block)}, which {state}"
    return replace(outcome, status="not-run", message=message, hint=None)


def hint_for(error: str | None) -> str | None:
    """Return what to do about an undeclared upper-case name, a name of another language, an unguarded spawn."""
    if _UNGUARDED in (error or ""):
        return 'put what starts processes below: if __name__ == "__main__":'
    if other := _OTHER_LANGUAGE.search(error or ""):
        return f"write {_PYTHON[other[1]]}: that is how Python spells {other[1]}"
    if not (match := _UNDECLARED.search(error or "")):
        return None
    return (
        f"declare it as a placeholder: 'placeholders: {{{match[1]}: value}}' under the plugin cardproof, "
        f"or set it in hidden set-up: <!-- snippet: setup … -->"
    )


def hint_for_needs(what: str, of_site: bool) -> str:
    """Return what to do so that a block gets what it was refused: settings for the page of a site, else options."""
    if of_site:
        online = "mark the block .network, and set 'network: true' under 'snippets' of the plugin cardproof"
        random = "'weights: random'"
    else:
        online, random = "mark the block .network, and run 'cardproof snippets --network'", "'--random-weights'"
    if what.startswith("weights"):
        return f"{online}; or {random}, which runs loaders of timm, torchvision and torch.hub without"
    return online
