"""An update writes only what the page's own code printed, on a page that ran as a reader runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from running import fences, judged

from cardproof.snippets.run.runner import Runner
from cardproof.snippets.update import update

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner(preload=("torch",)) as running:
        yield running


def updated(runner: Runner, page: str, **policy: object) -> str:
    return update(page, judged(runner, page, **policy))


SKIP = '{ .skip data-reason="no" }\n'
HUB = (
    "import torch\nmodel = torch.nn.Linear(1, 1)\n"
    "model.load_state_dict(torch.hub.load_state_dict_from_url('https://example.com/a.pth'))"
)
GET = "import urllib.request\ntry:\n    x = urllib.request.urlopen('https://example.com')\nexcept OSError:\n    x = 3\n"


@pytest.mark.parametrize(
    "codes",
    [
        ("x = 1", f"{SKIP}x = 2", "print(x)  # prints: 5"),
        ("x = [1]", f"{SKIP}x.append(2)", "print(len(x))  # prints: 2"),
        ("x = [1]\nl = x", f"{SKIP}x.append(2)", "y = x", "print(y)  # prints: [1, 2]"),
        ("import random", f"{SKIP}random.seed(1)", "print(random.random() > 2)  # prints: maybe"),
        ("x = 1", "x = 2\n1 / 0", "print(x)  # prints: 5"),
        (f"{GET}print(x)  # prints: online",),
        (GET, "print(x)  # prints: online"),
        ("import sys\nsys.exit(0)\nprint(1)  # prints: 2",),
        ("x = 1\nwhile x: print(x); 1 / 0  # prints: 5",),
        (">>> print(1)  # doctest: +SKIP\n2",),
    ],
)
def test_what_depends_on_a_block_that_did_not_run_is_never_written(runner: Runner, codes: tuple[str, ...]) -> None:
    page = fences(*codes)
    assert updated(runner, page) == page


@pytest.mark.attack("snippet", "values of random weights, written into the page by an update", "nothing is written")
def test_under_random_weights_nothing_is_written(runner: Runner) -> None:
    page = fences(HUB, "print(model.weight.shape)  # prints: torch.Size([2, 2])", "print(0.5)  # prints: 0.25")
    assert updated(runner, page, weights="random") == page


def test_what_does_not_depend_on_it_is_written(runner: Runner) -> None:
    page = fences("x = 1", f"{SKIP}x = 2", "y = 3\nprint(y)  # prints: 4", "{ .fresh }\nx = 7\nprint(x)  # prints: 8")
    assert updated(runner, page) == page.replace("prints: 4", "prints: 3").replace("prints: 8", "prints: 7")


def test_one_outdated_output_does_not_keep_another_from_being_written(runner: Runner) -> None:
    page = fences("x = 1\nprint(x)  # prints: 2", "print(x + 1)  # prints: 3")
    assert updated(runner, page) == page.replace("prints: 2", "prints: 1").replace("prints: 3", "prints: 2")
