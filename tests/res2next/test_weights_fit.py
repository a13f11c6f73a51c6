"""What is loaded from files of weights into networks, and what is refused."""

from __future__ import annotations

import argparse
import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import timm
import torch
from convnets import CLASSES, narrow
from safetensors.torch import save_file
from torch import nn

from res2next import UnfitWeights, UnreadableWeights, create_model, load_weights
from res2next.registry import find
from res2next.weights import file_digest, load_pretrained, read_state_dict
from res2next.weights import find as find_weights

if TYPE_CHECKING:
    from torch import Tensor

pytestmark = pytest.mark.usefixtures("no_local_weights")


def tiny(seed: int = 0) -> nn.Module:
    """A small network whose weights are all random, norms too."""
    torch.manual_seed(seed)
    network = create_model("res2next_tiny")
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 1.0)
    return network


def assert_same(network: nn.Module, state: dict[str, torch.Tensor]) -> None:
    own = network.state_dict()
    assert list(own) == list(state)
    assert all(torch.equal(own[name], state[name]) for name in own)


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be tried with two networks only which one a file fits: to build all takes a second."""
    monkeypatch.setattr("res2next.weights.fit.ENTRIES", (find("res2next_tiny"), find("res2next_small")))


def snapshot(network: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(dict(network.state_dict()))


# --- What is in the file ---


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.pt", "w.pth.tar", "pytorch_model.bin", "last.ckpt"])
def test_every_format_loads_to_the_same_network(tmp_path: Path, name: str) -> None:
    state = snapshot(tiny())
    if name.endswith(".safetensors"):
        save_file(state, tmp_path / name)
    else:
        torch.save(state, tmp_path / name)
    network = tiny(seed=1)
    load_weights(network, tmp_path / name)
    assert_same(network, state)


def module_prefixed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"module.{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {"state_dict": module_prefixed(state), "args": argparse.Namespace(lr=0.1)},
        lambda state: module_prefixed(state),
        lambda state: {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"n_averaged": torch.tensor(7), **module_prefixed(state)},
        lambda state: {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}},
        lambda state: {"state_dict": {f"model.backbone.{name}": tensor for name, tensor in state.items()}},
        lambda state: {
            "state_dict": {
                f"head.{name}" if name.startswith("fc.") else f"backbone.{name}": tensor
                for name, tensor in state.items()
            }
        },
        lambda state: {"model": state, "best": np.float64(0.93), "epoch": np.int64(3)},
    ],
    ids=[
        "state_dict",
        "model",
        "timm's checkpoint",
        "DistributedDataParallel",
        "compiled",
        "AveragedModel",
        "Lightning",
        "Lightning with a backbone",
        "OpenMMLab",
        "numbers of numpy",
    ],
)
def test_checkpoints_of_training_scripts_are_unwrapped(tmp_path: Path, wrap) -> None:
    state = snapshot(tiny())
    torch.save(wrap(state), tmp_path / "w.pth")
    network = tiny(seed=1)
    load_weights(network, tmp_path / "w.pth")
    assert_same(network, state)


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "ema"])
def test_averaged_weights_go_before_the_last_ones(tmp_path: Path, key: str) -> None:
    averaged = snapshot(tiny())
    torch.save({"state_dict": snapshot(tiny(1)), "model": snapshot(tiny(1)), key: averaged}, tmp_path / "w.pth")
    network = tiny(seed=2)
    load_weights(network, tmp_path / "w.pth")
    assert_same(network, averaged)


def test_a_checkpoint_of_timm_loads_and_gives_its_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("res2next50", num_classes=3).eval()
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    ours = create_model("res2next50", num_classes=3, weights=tmp_path / "theirs.pth").eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_a_dla_loads_with_its_head_as_a_matrix_and_with_the_authors_unused_projections(tmp_path: Path) -> None:
    network = narrow("dla60_res2next")
    state = snapshot(network)
    published = {**state, "fc.weight": state["fc.weight"].flatten(1)}
    published["level3.project.0.weight"] = torch.zeros(256, 128, 1, 1)
    torch.save(published, tmp_path / "w.pth")
    receiver = narrow("dla60_res2next")
    load_weights(receiver, tmp_path / "w.pth")
    assert_same(receiver, state)


def test_the_head_of_a_linear_layer_may_be_stored_as_a_1x1_convolution(tmp_path: Path) -> None:
    state = snapshot(tiny())
    torch.save({**state, "fc.weight": state["fc.weight"][:, :, None, None]}, tmp_path / "w.pth")
    network = tiny(seed=1)
    load_weights(network, tmp_path / "w.pth")
    assert_same(network, state)


def test_checkpoints_from_before_batches_were_counted_load(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in tiny().state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "w.pth")
    network = tiny(seed=1)
    load_weights(network, tmp_path / "w.pth")
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in state.items())


class Intruder:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code of the file has run')",))


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": snapshot(tiny()), "extra": Intruder()}, tmp_path / "w.pth")
    with pytest.raises(UnreadableWeights, match="only tensors are loaded, since a pickle can run any code; where you"):
        read_state_dict(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "text", "half", "html"])
def test_damaged_files_are_unreadable_in_one_sentence(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(snapshot(tiny()), path)
    else:
        torch.save(snapshot(tiny()), path)
    whole = path.read_bytes()
    content = {"empty": b"", "text": b"hello", "half": whole[: len(whole) // 2], "html": b"<html>" + bytes(200)}
    path.write_bytes(content[damage])
    with pytest.raises(UnreadableWeights, match=r"fetch (it|or save it) again") as caught:
        read_state_dict(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (torch.zeros(2).to_sparse(), "sparse"),
        (torch.zeros(2, dtype=torch.complex64), "complex"),
        (torch.zeros(2, device="meta"), "meta"),
    ],
)
def test_tensors_that_are_no_plain_numbers_are_refused_by_name(tmp_path: Path, tensor: Tensor, kind: str) -> None:
    torch.save({"fc.weight": tensor}, tmp_path / "w.pth")
    with pytest.raises(UnreadableWeights, match=f"holds fc.weight as a {kind} tensor; save it as a dense one"):
        read_state_dict(tmp_path / "w.pth")


@pytest.mark.usefixtures("few_candidates")
def test_whole_numbers_do_not_pass_for_weights(tmp_path: Path) -> None:
    state = {name: tensor.to(torch.int64) for name, tensor in snapshot(tiny()).items()}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UnfitWeights, match=r"holds torch\.int64, not torch\.float32"):
        load_weights(tiny(), tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.npz", "w.onnx", "w.h5", "w"])
def test_other_formats_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"all the tensors of a network")
    with pytest.raises(
        UnreadableWeights,
        match=r"is of no format that is read \(\.safetensors, \.pth, \.pt, \.pth\.tar, \.bin, \.ckpt\)",
    ):
        read_state_dict(path)


@pytest.mark.parametrize("saved", [[torch.zeros(1)], {}, {"epoch": 3}, {"state_dict": {"a": 1}}, torch.zeros(2)])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, saved: object) -> None:
    torch.save(saved, tmp_path / "w.pth")
    with pytest.raises(UnreadableWeights, match="holds no state dict; save a state dict, by itself or under one of"):
        read_state_dict(tmp_path / "w.pth")


def test_a_file_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    for name in ("w.pth", "w.safetensors"):
        with pytest.raises(FileNotFoundError):
            read_state_dict(tmp_path / name)


# --- Whether the tensors fit ---


def save(tmp_path: Path, state: dict[str, torch.Tensor]) -> Path:
    torch.save(state, tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.mark.usefixtures("few_candidates")
def test_up_to_three_differences_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    state = snapshot(tiny())
    del state["bn1.weight"]
    state["bn1.bias"] = torch.zeros(3)
    state |= {f"head.{i}": torch.zeros(1) for i in range(3)}
    with pytest.raises(UnfitWeights) as caught:
        load_weights(tiny(), save(tmp_path, state))
    message = str(caught.value)
    assert "do not fit the network: bn1.weight is missing, head.0 is not in the network, head.1 is not" in message
    assert "and 2 more; give the weights of this architecture" in message


@pytest.mark.usefixtures("few_candidates")
def test_a_shape_that_differs_is_named_with_both(tmp_path: Path) -> None:
    state = snapshot(tiny()) | {"bn1.bias": torch.zeros(3)}
    with pytest.raises(UnfitWeights, match=r"bn1\.bias has shape \(3,\), not \(8,\)"):
        load_weights(tiny(), save(tmp_path, state))


def test_weights_of_another_network_of_the_registry_are_recognised(tmp_path: Path) -> None:
    path = save(tmp_path, dict(create_model("res2net50_48w_2s", num_classes=0).state_dict()))
    with pytest.raises(UnfitWeights, match=r"they fit create_model\('res2net50_48w_2s', num_classes=0\)$"):
        create_model("res2next_tiny", weights=path)


def test_weights_with_other_numbers_of_classes_and_channels_are_recognised(tmp_path: Path) -> None:
    path = save(tmp_path, dict(create_model("res2next_tiny", num_classes=6, in_chans=3).state_dict()))
    with pytest.raises(UnfitWeights, match=r"they fit create_model\('res2next_tiny', num_classes=6, in_chans=3\)$"):
        create_model("res2next_tiny", weights=path)


@pytest.mark.usefixtures("few_candidates")
@pytest.mark.parametrize("name", ["fc.weight", "conv1.weight"])
def test_a_number_under_a_known_name_is_only_a_shape_that_differs(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, snapshot(tiny()) | {name: torch.tensor(1.0)})
    with pytest.raises(UnfitWeights, match=rf"{name} has shape \(\), not"):
        create_model("res2next_tiny", weights=path)


@pytest.mark.usefixtures("few_candidates")
def test_weights_that_do_not_fit_leave_the_network_as_it_was(tmp_path: Path) -> None:
    state = snapshot(tiny())
    del state["fc.bias"]
    network = tiny(seed=1)
    before = snapshot(network)
    with pytest.raises(UnfitWeights):
        load_weights(network, save(tmp_path, state))
    assert_same(network, before)


@pytest.mark.attack(
    "weights", "a .pth file whose archive unpacks to a thousand times its size", "refused before it is unpacked"
)
def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    import tracemalloc
    import zipfile

    stored = tmp_path / "stored.pth"
    torch.save({"a": torch.zeros(4_000_000)}, stored)
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert bomb.stat().st_size < 100_000
    assert read_state_dict(stored)["a"].shape == (4_000_000,)
    tracemalloc.start()
    with pytest.raises(UnreadableWeights, match=r"is compressed: .* bytes would become 16,"):
        read_state_dict(bomb)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("kept", [0, 1, 9, 200, 300, -30])
def test_a_file_that_was_cut_off_or_overwritten_is_unreadable(tmp_path, name, kept):
    path = tmp_path / name
    state = {"a": torch.arange(100.0)}
    save_file(state, path) if name.endswith("safetensors") else torch.save(state, path)
    whole = path.read_bytes()
    for content in (whole[:kept], whole[:kept] + b"\xff" * 300, b"\x80\x02" + whole[:kept]):
        path.write_bytes(content)
        with pytest.raises(UnreadableWeights):
            read_state_dict(path)


# --- create_model ---


def test_a_model_with_trained_weights_is_the_one_that_was_saved(tmp_path: Path) -> None:
    state = snapshot(tiny())
    network = create_model("res2next_tiny", weights=save(tmp_path, state))
    assert_same(network, state)
    assert network.training


def test_pretrained_loads_the_entrys_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = snapshot(tiny())
    save_file(state, tmp_path / "w.safetensors")
    digest = file_digest(tmp_path / "w.safetensors").removeprefix("sha256:")
    known = find("res2next_tiny")
    published = replace(known, weights=replace(known.weights, file=f"tiny-{digest[:8]}.safetensors"))
    monkeypatch.setattr("res2next.create.find", lambda name: published)
    find_weights.BUNDLED.mkdir()
    shutil.copyfile(tmp_path / "w.safetensors", find_weights.BUNDLED / published.weights.file)
    assert_same(create_model("res2next_tiny", pretrained=True), state)


def test_another_number_of_classes_keeps_a_fresh_head_on_trained_features(tmp_path: Path) -> None:
    state = snapshot(tiny())
    network = create_model("res2next_tiny", num_classes=4, weights=str(save(tmp_path, state)))
    own = network.state_dict()
    assert own["fc.weight"].shape == (4, 128)
    assert float(own["fc.weight"].abs().max()) <= 128**-0.5  # torch's own initialisation, not the saved 0.1 to 1
    assert all(torch.equal(own[name], state[name]) for name in own if not name.startswith("fc."))


def test_a_head_of_ones_own_loads_with_its_own_number_of_classes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = dict(create_model("res2next_tiny", num_classes=4).state_dict())
    assert_same(create_model("res2next_tiny", num_classes=4, weights=save(tmp_path, state)), state)


@pytest.mark.parametrize("arguments", [{"num_classes": 0}, {"features_only": True}])
def test_a_network_without_a_head_leaves_the_files_head_out(tmp_path: Path, arguments: dict[str, int]) -> None:
    state = snapshot(tiny())
    network = create_model("res2next_tiny", weights=save(tmp_path, state), **arguments)
    assert_same(network, {name: tensor for name, tensor in state.items() if not name.startswith("fc.")})


@pytest.mark.parametrize("name", ["res2next50", "res2net50d", "dla60_res2next"])
def test_a_grey_image_gives_what_it_would_in_three_equal_channels(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    colour, grey = narrow(name).eval(), narrow(name, in_chans=1).eval()
    load_pretrained(grey, save(tmp_path, dict(colour.state_dict())), CLASSES)
    x = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(grey(x), colour(x.expand(1, 3, 64, 64)), rtol=1e-4, atol=1e-4)


def test_the_sum_over_channels_is_timms_rule(tmp_path: Path) -> None:
    from timm.models import adapt_input_conv

    state = dict(create_model("res2next50", num_classes=2).state_dict())
    grey = create_model("res2next50", num_classes=2, in_chans=1, weights=save(tmp_path, state))
    assert torch.equal(grey.state_dict()["conv1.weight"], adapt_input_conv(1, state["conv1.weight"]))


@pytest.mark.usefixtures("few_candidates")
@pytest.mark.parametrize(("stored", "asked"), [(3, 2), (3, 4), (1, 3), (2, 1)])
def test_any_other_number_of_channels_is_refused(tmp_path: Path, stored: int, asked: int) -> None:
    path = save(tmp_path, dict(create_model("res2next_tiny", in_chans=stored).state_dict()))
    with pytest.raises(UnfitWeights, match=rf"conv1\.weight has shape \(8, {stored}, 3, 3\), not \(8, {asked}, 3, 3\)"):
        create_model("res2next_tiny", in_chans=asked, weights=path)
