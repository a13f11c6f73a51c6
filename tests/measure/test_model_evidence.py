"""A worker builds a network as shapes only, measures it and says what went wrong; records hold while methods do."""

from __future__ import annotations

import ast
import hashlib
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from convnets import ROOT, convnet, question
from torch import nn

import res2next
from cardproof.measure import evaluation
from cardproof.measure.count.meta_network import build_on_meta
from cardproof.measure.model_evidence import measure_model
from cardproof.plan import needed_evaluations


class Zoo:
    """Builds toys by width."""

    def build(self, name: str) -> nn.Module:
        if name == "memory":
            raise MemoryError
        if name == "stop":
            raise KeyboardInterrupt
        return convnet([int(name)])


def test_it_counts_and_explains() -> None:
    found = measure_model(Zoo(), "8", (3, 32, 32), question("flops", 69200))
    assert found.error is None
    assert found.counts
    assert found.counts.multiply_adds == 55376
    assert [r.input for r in found.reproductions] == [(32, 40)]


def test_a_network_that_cannot_be_built_is_an_error_not_a_crash() -> None:
    found = measure_model(Zoo(), "eight", (3, 32, 32), ())
    assert found.counts is None
    assert found.error == "ValueError: invalid literal for int() with base 10: 'eight'"


def test_a_network_that_cannot_run_keeps_its_parameters_and_gives_the_reason() -> None:
    found = measure_model(Zoo(), "8", (1, 32, 32), ())
    assert (found.counts, found.error) == (None, None)
    assert found.unrun
    assert (found.unrun.parameters, found.unrun.buffers, found.unrun.state_dict_bytes) == (322, 17, 338 * 4 + 8)
    assert found.unrun.reason.startswith("the network could not be run on one 1x32x32 image: RuntimeError: ")


def test_the_parameters_of_a_network_that_cannot_run_are_explained() -> None:
    found = measure_model(Zoo(), "8", (1, 32, 32), (*question("parameters", 339), *question("flops", 1)))
    assert [(way.field, way.value, way.counted) for way in found.reproductions] == [("parameters", 339, ("buffers",))]


@pytest.mark.parametrize(("name", "raised"), [("memory", MemoryError), ("stop", KeyboardInterrupt)])
def test_memory_and_interrupts_are_not_swallowed(name: str, raised: Any) -> None:
    with pytest.raises(raised):
        measure_model(Zoo(), name, (3, 32, 32), ())


def test_wording_needs_no_torch() -> None:
    code = (
        "import sys, cardproof.measure, cardproof.judge.discrepancies, cardproof.measure.count.architecture_words\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {"PYTHONPATH": str(ROOT / "tools")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_a_huge_layer_costs_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = build_on_meta(lambda: nn.Linear(100_000, 200_000))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert sum(p.numel() for p in model.parameters()) == 100_000 * 200_000 + 200_000
    assert grown < 50_000  # KiB


def test_everything_is_on_the_meta_device_and_in_eval_mode() -> None:
    model = build_on_meta(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    assert not model.training
    assert all(t.is_meta for t in model.state_dict().values())


class ReadsValues(nn.Module):
    """Asks for values while it is built, which meta tensors do not have."""

    def __init__(self) -> None:
        super().__init__()
        rates = torch.linspace(0, 0.5, 3).tolist()
        self.drop = nn.Dropout(rates[1])
        self.table = torch.arange(4)
        self.linear = nn.Linear(4, 4)
        nn.init.trunc_normal_(self.linear.weight, std=0.02)


def test_a_network_that_reads_values_is_built_on_the_cpu_and_moved() -> None:
    model = build_on_meta(ReadsValues)
    assert model.drop.p == pytest.approx(0.25)
    assert model.linear.weight.is_meta
    assert model.table.is_meta


def _fails() -> nn.Module:
    raise KeyError("no such network")


def test_initialisers_work_again_afterwards_even_when_building_failed() -> None:
    with pytest.raises(KeyError):
        build_on_meta(_fails)
    torch.manual_seed(0)
    weight = nn.init.ones_(torch.empty(3))
    assert weight.tolist() == [1.0, 1.0, 1.0]
    assert torch.empty(1).device.type == "cpu"
    assert nn.Linear(2, 2).weight.abs().sum() > 0


def test_torch_is_itself_again_afterwards() -> None:
    before = [dict(vars(space)) for space in (torch, torch.Tensor, nn.init, nn.Linear)]
    build_on_meta(ReadsValues)
    with pytest.raises(KeyError):
        build_on_meta(_fails)
    after = [dict(vars(space)) for space in (torch, torch.Tensor, nn.init, nn.Linear)]
    assert before == after


class ResetsItself(nn.Linear):
    """Decides on its own parameters where torch's layer only fills them."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.scale = nn.Parameter(torch.ones(self.out_features))


def test_a_layer_that_resets_itself_in_its_own_way_still_does() -> None:
    model = build_on_meta(lambda: ResetsItself(4, 3))
    assert model.scale.shape == (3,)
    assert model.scale.is_meta


class KeepsTraining(nn.Module):
    """Leaves one child in training mode whatever it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def train(self, mode: bool = True) -> KeepsTraining:
        super().train(mode)
        self.norm.training = True
        return self


def test_eval_mode_is_what_a_module_makes_of_it() -> None:
    model = build_on_meta(lambda: nn.Sequential(KeepsTraining(), nn.Dropout()))
    assert [module.training for module in model.modules()] == [False, False, True, False]


def test_building_draws_no_random_numbers() -> None:
    state = torch.get_rng_state()
    build_on_meta(lambda: nn.Linear(3, 3))
    build_on_meta(ReadsValues)
    assert torch.equal(state, torch.get_rng_state())


OURS = Path(res2next.__file__).parent
EVALUATION = (
    OURS / "transforms.py",
    *sorted((OURS / "evaluation").glob("*.py")),
    *sorted((OURS / "datasets").glob("*.py")),
    Path(evaluation.__file__),
)
"""What feeds images to a network and counts what it says; networks and weights are inputs of their own."""

DECIDED = {"evaluation/1": "61e52f058f1c8147"}
"""For each version of a method, the code that gives its results. If this test fails: raise METHOD in
``plan/needed_evaluations.py`` if any count could come out otherwise, which makes all older results stale; then write
the new digest here."""


def digest_of_code(paths: tuple[Path, ...]) -> str:
    """Return a digest of what code does: comments, docstrings and layout do not count."""
    found = hashlib.sha256()
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [part for part in body if not _is_text(part)] or [ast.Pass()]
        found.update(f"{path.name} {ast.unparse(tree)}\n".encode())
    return found.hexdigest()[:16]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_the_code_that_evaluates_is_that_of_its_method() -> None:
    assert {needed_evaluations.METHOD: digest_of_code(EVALUATION)} == DECIDED


@pytest.mark.parametrize(("one", "other", "same"), [("x = 1", "x  =  1  # one", True), ("x = 1", "x = 2", False)])
def test_only_what_code_does_counts(tmp_path: Path, one: str, other: str, same: bool) -> None:
    file = tmp_path / "code.py"
    digests = []
    for text in (f'"""One."""\n{one}\n', f'"""Other."""\n{other}\n'):
        file.write_text(text)
        digests.append(digest_of_code((file,)))
    assert (digests[0] == digests[1]) is same
