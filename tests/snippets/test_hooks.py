"""What code asked for and did not get: hosts of the network, files of hubs, published weights."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from running import blocks, fences, judged, said

from cardproof.snippets.run.page_runner import Job, Runner
from cardproof.snippets.run_pages import OFFLINE
from cardproof.snippets.types import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = ("not-run", "needs the network: example.com")
GET = "import urllib.request\nget = lambda: urllib.request.urlopen('https://example.com/a')\n"


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner(Limits(), ()) as running:
        yield running


@pytest.mark.parametrize(
    ("code", "needs"),
    [
        ("import timm\ntimm.create_model('resnet18', True)", "weights: timm/resnet18.a1_in1k"),
        ("import timm\ntimm.create_model('hf_hub:timm/resnet18.a1_in1k')", "weights: timm/resnet18.a1_in1k"),
        (
            "from torchvision.models import resnet18, ResNet18_Weights\nresnet18(weights=ResNet18_Weights.DEFAULT)",
            "weights: resnet18-f37072fd.pth",
        ),
        ("from torchvision.models import resnet18\nresnet18(weights='DEFAULT')", "weights: resnet18-f37072fd.pth"),
        ("import torch\ntorch.hub.load('pytorch/vision', 'resnet18')", "the network: github.com"),
        (
            "import torch\ntorch.hub.load_state_dict_from_url('https://example.com/b/a.pth')",
            "weights: a.pth",
        ),
        ("from huggingface_hub import hf_hub_download\nhf_hub_download('gpt2', 'config.json')", "weights: gpt2"),
        ("from huggingface_hub import snapshot_download\nsnapshot_download('gpt2')", "weights: gpt2"),
        ("from huggingface_hub import HfApi\nHfApi().create_repo('a/b')", "the network: huggingface.co"),
        (
            "from huggingface_hub import hf_hub_download\nhf_hub_download('a/b', 'c', repo_type='dataset')",
            "the data set: a/b",
        ),
        ("from huggingface_hub import list_models\nlist(list_models(limit=1))", "the network: huggingface.co"),
        (
            "from transformers import AutoModel\nAutoModel.from_pretrained('bert-base-uncased')",
            "weights: bert-base-uncased",
        ),
        ("from transformers import pipeline\npipeline('text-generation', 'gpt2')", "weights: gpt2"),
        ("from torchvision.datasets import MNIST\nMNIST('.', download=True)", "the network: ossci-datasets"),
        ("import requests\nrequests.get('https://example.com')", "the network: example.com"),
        ("import urllib.request as r\nr.urlretrieve('https://example.com/a', 'a')", "the network: example.com"),
        ("import socket\nsocket.gethostbyaddr('example.com')", "the network: example.com"),
        ("import socket\nsocket.create_connection(('192.0.2.1', 80))", "the network: 192.0.2.1"),
        ("import asyncio\nawait asyncio.open_connection('example.com', 80)", "the network: example.com"),
    ],
)
def test_what_was_refused_is_named_whatever_asked_for_it(hubs: Runner, code: str, needs: str) -> None:
    (outcome,) = judged(hubs, fences(code))
    assert outcome.status == "not-run", outcome.message
    assert outcome.message.startswith(f"needs {needs}")
    assert ".network" in (outcome.hint or "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts packets of a page")
def test_other_programs_are_known_by_the_packets_that_found_no_way(runner: Runner) -> None:
    code = (
        "import subprocess, sys\nask = 'import socket; socket.create_connection((\"192.0.2.1\", 80))'\n"
        "subprocess.run([sys.executable, '-c', ask], check=True, stderr=subprocess.DEVNULL)"
    )
    first, second = judged(runner, fences(code, "import subprocess\nsubprocess.run(['false'], check=True)"))
    if first.status == "fail":
        pytest.skip("network namespaces are not permitted here")
    assert (first.status, first.message) == ("not-run", "needs the network")
    assert second.status == "fail"


def test_what_follows_from_it_is_not_run_either(runner: Runner) -> None:
    found = said(judged(runner, fences(f"{GET}answer = get()", "print(answer.read())", "print(1)")))
    follows = ("not-run", "needs 'answer' of the block at line 2, which was not run")
    assert found == [EXAMPLE, follows, ("pass", "")]


def test_an_error_that_a_library_raises_instead_has_the_same_cause(runner: Runner) -> None:
    for raised in ("raise KeyError('weights')", "raise KeyError('weights') from None", "raise KeyError(1) from error"):
        code = f"{GET}try:\n    get()\nexcept OSError as error:\n    {raised}"
        assert said(judged(runner, fences(code))) == [EXAMPLE]


def test_a_program_that_goes_on_without_passes_if_its_outputs_hold(runner: Runner) -> None:
    code = f"{GET}try:\n    x = get()\nexcept OSError:\n    x = 'offline'\nprint(x)"
    assert said(judged(runner, fences(f"{code}  # prints: offline"))) == [("pass", "")]


def test_outputs_that_differ_since_a_program_went_on_without_are_not_run(runner: Runner) -> None:
    code = f"{GET}try:\n    x = get()\nexcept OSError:\n    x = 'offline'\nprint(x)"
    other = ("not-run", "needs the network: example.com: its output is another without")
    assert said(judged(runner, fences(f"{code}  # prints: online"))) == [other]
    found = said(judged(runner, fences(code, "print(x)  # prints: online", "print(1)  # prints: 2")))
    assert found == [("pass", ""), other, ("fail", 'expected "2", got "1"')]


@pytest.mark.attack("snippet", "words about weights and the network beside an error of its own", "it fails")
@pytest.mark.parametrize(
    "code",
    [
        "# pretrained=True\nprint('offline')\nundefined",
        "# from_pretrained(\nraise RuntimeError('offline: LocalEntryNotFoundError, ConnectionError')",
        "raise ConnectionError('network needed: this block tried to reach example.com')",
        f"{GET}try:\n    get()\nexcept OSError:\n    print('offline')\n    undefined",
        f"{GET}try:\n    get()\nexcept OSError:\n    print('offline')\n1 / 0",
        f"{GET}def main():\n    try:\n        get()\n    except OSError:\n        print('offline')\n    1 / 0\nmain()",
        f"{GET}def main():\n    try:\n        get()\n    except OSError:\n        pass\n    int('x')\nmain()",
        "import socket\nsocket.create_connection(('127.0.0.1', 1))",
        "import urllib.request\nurllib.request.urlopen('no address')",
    ],
)
def test_an_error_of_its_own_fails_whatever_is_stated_beside_it(runner: Runner, code: str) -> None:
    assert [outcome.status for outcome in judged(runner, fences(code))] == ["fail"]


def test_a_refusal_is_not_the_exception_that_a_block_expects(runner: Runner) -> None:
    call = f"{GET}get()"
    assert said(judged(runner, fences(f"{{ .expect-error }}\n{call}"))) == [EXAMPLE]
    assert said(judged(runner, fences(f'{{ .expect-error data-error="ValueError" }}\n{call}'))) == [EXAMPLE]
    named = f'{{ .expect-error data-error="URLError" }}\n{call}'
    assert said(judged(runner, fences(named))) == [("pass", "")]


def test_a_machine_without_a_network_is_no_failure_of_a_block_that_may_use_it(runner: Runner) -> None:
    code = "{ .network }\nimport socket\nsocket.create_connection(('no-such-host.invalid', 80), 5)"
    assert said(judged(runner, fences(code), network=True)) == [("not-run", "needs the network: no-such-host.invalid")]


BEFORE = """
```pycon
>>> 2 + 2
5
>>> import urllib.request
>>> _ = urllib.request.urlopen("https://example.com")
```

```python
print(3)  # prints: 4
import urllib.request
urllib.request.urlopen("https://example.com")
```

```python
print(3)  # prints: 4
import nothere
```
"""


def test_a_wrong_output_before_an_error_or_a_refusal_is_a_failure_that_names_both(runner: Runner) -> None:
    for outcome in judged(runner, BEFORE):
        assert outcome.status == "fail"
        assert outcome.expected_line is not None
        assert "; then " in outcome.message


# random weights: loaders of published weights load nothing, and it is noted that they were asked


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
def test_however_weights_are_asked_for_they_are_random_and_that_is_noted(hubs: Runner, code: str) -> None:
    page = fences("print(0.5)  # prints: 0.25", code, "print(0.5)  # prints: 0.25", "print('a')  # prints: b")
    first, second, third, fourth = judged(hubs, page, weights="random")
    assert [outcome.status for outcome in (first, second, third, fourth)] == ["fail", "pass", "pass", "fail"]
    assert "weights" in third.warnings[0]
    assert [outcome.may_update for outcome in (first, second, third, fourth)] == [True, False, False, False]


def test_words_about_weights_change_nothing(hubs: Runner) -> None:
    page = fences("# pretrained=True, weights='DEFAULT'\nprint(0.5)  # prints: 0.25")
    assert [outcome.status for outcome in judged(hubs, page, weights="random")] == ["fail"]


def test_a_hub_that_was_imported_before_the_page_began_fails_at_once() -> None:
    code = "import huggingface_hub\nprint(huggingface_hub.is_offline_mode())"
    with Runner(preload=("huggingface_hub.constants",)) as runner:
        for environment, expected in ((OFFLINE, "True\n"), ({}, "False\n")):
            (ran,) = runner.run(Job("page", blocks(code), environment=environment))
            assert (ran.error, "".join(printed.text for printed in ran.printed)) == (None, expected)
