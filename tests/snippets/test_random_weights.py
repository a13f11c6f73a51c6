"""Random weights: loaders of published weights load nothing, and it is noted that they were asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from running import blocks, fences, judged

from cardproof.snippets.pages import OFFLINE
from cardproof.snippets.run.runner import Job, Runner

if TYPE_CHECKING:
    pass


@pytest.fixture(scope="module")
def runner(hubs: Runner) -> Runner:
    return hubs


@pytest.mark.parametrize(
    "code",
    [
        "import timm\nmodel = timm.create_model('resnet18', True)",
        "import timm\nmodel = timm.create_model('resnet18', pretrained=True)",
        "from torchvision.models import resnet18, ResNet18_Weights\nmodel = resnet18(weights=ResNet18_Weights.DEFAULT)",
        "from torchvision.models import resnet18\nmodel = resnet18(weights='DEFAULT')",
        "import torch\nmodel = torch.nn.Linear(1, 1)\n"
        "model.load_state_dict(torch.hub.load_state_dict_from_url('https://example.com/a.pth'))",
    ],
)
def test_however_weights_are_asked_for_they_are_random_and_that_is_noted(runner: Runner, code: str) -> None:
    page = fences("print(0.5)  # prints: 0.25", code, "print(0.5)  # prints: 0.25", "print('a')  # prints: b")
    first, second, third, fourth = judged(runner, page, weights="random")
    assert [outcome.status for outcome in (first, second, third, fourth)] == ["fail", "pass", "pass", "fail"]
    assert "weights" in third.warnings[0]
    assert [outcome.may_update for outcome in (first, second, third, fourth)] == [True, False, False, False]


def test_words_about_weights_change_nothing(runner: Runner) -> None:
    page = fences("# pretrained=True, weights='DEFAULT'\nprint(0.5)  # prints: 0.25")
    assert [outcome.status for outcome in judged(runner, page, weights="random")] == ["fail"]


def test_a_hub_that_was_imported_before_the_page_began_fails_at_once() -> None:
    code = "import huggingface_hub\nprint(huggingface_hub.is_offline_mode())"
    with Runner(preload=("huggingface_hub.constants",)) as runner:
        for environment, expected in ((OFFLINE, "True\n"), ({}, "False\n")):
            (ran,) = runner.run(Job("page", blocks(code), environment=environment))
            assert (ran.error, "".join(printed.text for printed in ran.printed)) == (None, expected)
