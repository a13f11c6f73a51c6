"""Networks are built as shapes only."""

from __future__ import annotations

import resource

import pytest
import torch
from torch import nn

from cardproof.measure.count.build import build_on_meta


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
