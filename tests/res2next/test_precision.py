"""Float32 is exact on GPUs, and a caller's own settings are left as they were; both can be read without a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from res2next.distributed import DeviceNotAvailable, join_processes
from res2next.evaluation.precision import SWITCHES, exact_on

GPU = torch.device("cuda")
INNER = (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul)


def settings() -> list[object]:
    cudnn = torch.backends.cudnn
    return [*(switch.fp32_precision for switch in SWITCHES), cudnn.enabled, cudnn.benchmark, cudnn.deterministic]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = []
    for switch in SWITCHES:
        before.append(switch.fp32_precision)
        switch.fp32_precision = "none" if switch in SWITCHES[:2] else before[-1]
    yield
    for switch, value in zip(SWITCHES, before, strict=True):
        switch.fp32_precision = value
    torch.backends.cudnn.benchmark = False


@pytest.mark.parametrize("everything", ["none", "tf32", "ieee"])
@pytest.mark.parametrize("convolutions", ["none", "tf32", "ieee"])
def test_settings_of_any_caller_are_restored(everything: str, convolutions: str) -> None:
    torch.backends.fp32_precision = everything
    torch.backends.cudnn.conv.fp32_precision = convolutions
    torch.backends.cudnn.benchmark = True
    before = settings()
    with exact_on(GPU):
        assert [switch.fp32_precision for switch in INNER] == ["ieee"] * 3
        assert not torch.backends.cudnn.benchmark
    assert settings() == before
    torch.backends.fp32_precision = "ieee"  # what was not set follows the switch around it, as it did before
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"


def test_they_are_restored_after_an_error() -> None:
    torch.backends.fp32_precision = "tf32"
    before = settings()
    with pytest.raises(KeyError), exact_on(GPU):
        raise KeyError
    assert settings() == before


def test_on_a_cpu_nothing_is_set() -> None:
    before = settings()
    with exact_on(torch.device("cpu")):
        assert settings() == before


# --- Devices ---


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("abacus", "'abacus' is not a device of torch: use cpu, cuda, cuda:1 or mps"),
        ("cuda:99", "GPU 99 is wanted, and torch sees"),
        ("meta", "meta cannot be used here"),
    ],
)
def test_a_device_that_is_not_there_is_named(device: str, message: str) -> None:
    with pytest.raises(DeviceNotAvailable, match=message), join_processes(device):
        pass


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is one")
def test_an_apple_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceNotAvailable, match="mps cannot be used here"), join_processes("mps"):
        pass


def test_one_gpu_is_not_for_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    message = "there are several processes: use --device cuda"
    with pytest.raises(DeviceNotAvailable, match=message), join_processes("cuda:1"):
        pass
