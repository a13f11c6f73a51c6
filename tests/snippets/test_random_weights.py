"""Which code asks for published weights, and what hubs do that must not be asked for them."""

from __future__ import annotations

import pytest
from running import blocks

from cardproof.snippets.prove import LOADS_WEIGHTS, OFFLINE
from cardproof.snippets.run.runner import Job, Runner


@pytest.mark.parametrize(
    "code",
    [
        "timm.create_model('resnet18', pretrained=True)",
        "resnet18(weights='DEFAULT')",
        "resnet18(weights = ResNet18_Weights.DEFAULT)",
        "torch.hub.load_state_dict_from_url(URL)",
        "Net.from_pretrained('name')",
    ],
)
def test_code_that_loads_published_weights_is_known(code: str) -> None:
    assert LOADS_WEIGHTS.search(code)


@pytest.mark.parametrize("code", ["f(pretrained=False)", "resnet18(weights = None)", "weights=None", "weights == old"])
def test_code_that_loads_none_is_left_alone(code: str) -> None:
    assert not LOADS_WEIGHTS.search(code)


def test_a_hub_that_was_imported_before_the_page_began_fails_at_once() -> None:
    code = "import huggingface_hub\nprint(huggingface_hub.is_offline_mode())"
    with Runner(preload=("huggingface_hub.constants",)) as runner:
        for environment, expected in ((OFFLINE, "True\n"), ({}, "False\n")):
            (ran,) = runner.run(Job("page", blocks(code), environment=environment))
            assert (ran.error, "".join(printed.text for printed in ran.printed)) == (None, expected)
