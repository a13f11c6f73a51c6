"""Files of weights: where they are found, how they are verified, what is loaded from them and what is refused."""

from __future__ import annotations

import argparse
import copy
import http.server
import subprocess
import sys
import threading
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner
from narrow import CLASSES, narrow
from safetensors.torch import save_file
from torch import nn

import res2next
from res2next import (
    TruncatedWeights,
    UnfitWeights,
    UnreadableWeights,
    WeightsNotAvailable,
    WrongWeights,
    create_model,
    load_weights,
)
from res2next.commands.evaluate import evaluate_
from res2next.registry import ENTRIES, Entry, find
from res2next.weights import (
    cache_folder,
    download,
    file_digest,
    load_pretrained,
    local_weights,
    read_state_dict,
    weights_path,
)
from res2next.weights import find as find_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

CONTENT = b"all the tensors of a network " * 40
HEX = sha256(CONTENT).hexdigest()
FILE = f"tiny-{HEX[:8]}.pth"


@pytest.fixture(autouse=True)
def a_machine_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RES2NEXT_WEIGHTS", raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(find_weights, "BUNDLED", tmp_path / "pretrained")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))


def entry(*, url: str | None = "http://127.0.0.1:9/nobody", size: int | None = len(CONTENT), file: str = FILE) -> Entry:
    """An entry of the registry for the file of this test."""
    known = find("res2next50")
    return replace(known, weights=replace(known.weights, file=file, url=url, size=size))


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


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


# --- Where the file is ---


def test_a_file_that_is_given_is_taken(tmp_path: Path) -> None:
    path = put(tmp_path / "mine" / FILE)
    assert weights_path(entry(), path) == path


def test_a_folder_that_is_given_holds_the_file_under_its_published_name(tmp_path: Path) -> None:
    path = put(tmp_path / "mine" / FILE)
    assert weights_path(entry(), tmp_path / "mine") == path


def test_what_is_given_goes_before_the_variable_and_the_variable_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, named = put(tmp_path / "given" / FILE), put(tmp_path / "named" / FILE)
    cached = put(cache_folder() / FILE)
    assert weights_path(entry()) == cached
    monkeypatch.setenv("RES2NEXT_WEIGHTS", str(tmp_path / "named"))
    assert weights_path(entry()) == named
    assert weights_path(entry(), given) == given


def test_the_variable_names_a_file_or_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "named" / FILE)
    for place in (path, path.parent):
        monkeypatch.setenv("RES2NEXT_WEIGHTS", str(place))
        assert weights_path(entry()) == path


def test_the_variable_serves_all_models_a_folder_without_this_ones_file_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = put(cache_folder() / FILE)
    monkeypatch.setenv("RES2NEXT_WEIGHTS", str(tmp_path))
    assert weights_path(entry()) == cached


def test_so_is_the_file_of_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = put(cache_folder() / FILE)
    other = put(tmp_path / find("res2net50_26w_4s").weights.file)
    monkeypatch.setenv("RES2NEXT_WEIGHTS", str(other))
    assert weights_path(entry()) == cached


def test_a_variable_that_points_to_nothing_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RES2NEXT_WEIGHTS", str(tmp_path / "nowhere.pth"))
    with pytest.raises(WeightsNotAvailable, match=r"there is no file .*nowhere\.pth \(RES2NEXT_WEIGHTS\)"):
        weights_path(entry())


def test_weights_that_come_with_the_package_are_looked_for_there_and_never_downloaded() -> None:
    bundled = entry(url=None)
    with pytest.raises(WeightsNotAvailable, match="which comes with the package, is missing; install the package"):
        weights_path(bundled)
    path = put(find_weights.BUNDLED / FILE)
    assert weights_path(bundled) == path


def test_a_folder_without_the_file_says_which_file_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(WeightsNotAvailable, match=f"there is no file .*{FILE}; give .* a folder that holds {FILE}"):
        weights_path(entry(), tmp_path)


def put_into_hub_cache(folder: Path, name: str = "model.safetensors", content: bytes = CONTENT) -> Path:
    """Lay a file down as huggingface_hub does: a blob that is named by its digest, and a link in a snapshot."""
    repository = folder / "models--timm--res2next50.in1k"
    blob = put(repository / "blobs" / HEX, content)
    put(repository / "refs" / "main", b"0123abcd")
    path = repository / "snapshots" / "0123abcd" / name
    path.parent.mkdir(parents=True)
    path.symlink_to(blob)
    return path


@pytest.mark.parametrize("name", find_weights.HUB_FILES)
def test_what_timm_has_downloaded_from_the_hub_is_found(tmp_path: Path, name: str) -> None:
    path = put_into_hub_cache(tmp_path / "hf", name)
    assert weights_path(entry()) == path
    assert local_weights(entry()) is None  # evidence is on the published file
    cached = put(cache_folder() / FILE)
    assert weights_path(entry()) == cached


def test_a_file_of_the_hub_that_is_not_what_its_blob_is_named_is_refused(tmp_path: Path) -> None:
    put_into_hub_cache(tmp_path / "hf", content=CONTENT[:-1])
    with pytest.raises(WrongWeights, match=f"its SHA-256 is not {HEX[:8]}"):
        weights_path(entry())


def test_without_huggingface_hub_its_cache_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_into_hub_cache(tmp_path / "hf")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert find_weights.hub_weights(entry()) is None


def test_the_names_of_repositories_are_those_of_timm() -> None:
    for known in ENTRIES:
        config = timm.get_pretrained_cfg(known.name)
        assert find_weights.hub_repository(known) == (config and config.hf_hub_id), known.name


def test_evaluate_says_which_file_it_used_if_it_is_not_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_entry = find("res2next_tiny")
    other = tmp_path / "model.safetensors"
    save_file(create_model("res2next_tiny").state_dict(), other)
    monkeypatch.setenv("RES2NEXT_WEIGHTS", str(other))
    done = CliRunner().invoke(evaluate_, ["res2next_tiny", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert f"the weights are {other}, and not the published file {tiny_entry.weights.file}" in done.stderr


def test_without_a_download_a_file_that_is_nowhere_is_none() -> None:
    assert local_weights(entry()) is None


def test_the_cache_is_torch_hubs_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    for variables in ({"TORCH_HOME": str(tmp_path)}, {"XDG_CACHE_HOME": str(tmp_path)}, {}):
        monkeypatch.delenv("TORCH_HOME", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        expected = Path(torch.hub.get_dir()) / "checkpoints"
        assert cache_folder() == expected
        with monkeypatch.context() as without_torch:
            without_torch.delitem(sys.modules, "torch.hub")
            assert cache_folder() == expected


def test_files_are_found_and_verified_without_torch() -> None:
    code = """
import sys
from res2next.registry import find
from res2next.weights import local_weights
local_weights(find('res2next50'))
assert 'torch' not in sys.modules
"""
    root = Path(res2next.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- Whether it is the file ---


def test_a_truncated_file_is_told_from_another_file(tmp_path: Path) -> None:
    path = put(tmp_path / FILE, CONTENT[:-1])
    with pytest.raises(TruncatedWeights, match=r"is truncated: 1,159 of the 1,160 bytes of tiny-.*; fetch .* again"):
        weights_path(entry(), path)
    put(path, CONTENT + b"x")
    with pytest.raises(WrongWeights, match=r"is another file: 1,161 bytes where tiny-.* has 1,160"):
        weights_path(entry(), path)
    put(path, CONTENT[:-1] + b"x")
    with pytest.raises(WrongWeights, match=f"is another file: its SHA-256 begins with .{{8}}, .* with {HEX[:8]}"):
        weights_path(entry(), path)


def test_where_the_size_is_not_known_the_hash_decides_and_cannot_tell_them_apart(tmp_path: Path) -> None:
    path = put(tmp_path / FILE, CONTENT[:-1])
    with pytest.raises(WrongWeights, match="is truncated or another file: its SHA-256 begins with"):
        weights_path(entry(size=None), path)
    assert weights_path(entry(size=None), put(path)) == path


def test_weights_of_ones_own_under_a_name_of_their_own_are_not_verified(tmp_path: Path) -> None:
    path = put(tmp_path / "finetuned.pth", b"anything")
    assert weights_path(entry(), path) == path


def test_a_file_with_the_name_of_another_models_weights_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / find("res2net50_26w_4s").weights.file)
    with pytest.raises(WrongWeights, match=r"the weights of res2net50_26w_4s\.in1k, not of res2next50\.in1k"):
        weights_path(entry(), path)


def test_a_bad_file_in_the_cache_is_an_error_that_says_to_delete_it() -> None:
    put(cache_folder() / FILE, CONTENT[:100])
    with pytest.raises(TruncatedWeights, match="delete it, and it is downloaded again"):
        weights_path(entry())


def test_a_digest_is_the_sha256_of_all_bytes(tmp_path: Path) -> None:
    assert file_digest(put(tmp_path / "any")) == f"sha256:{HEX}"


# --- Downloads ---


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve ``published`` below the test's folder; of a file whose name ends in .cut only the first half arrives."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = tmp_path / "published" / self.path.strip("/")
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if path.suffix == ".cut" else content)

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def left_in_cache() -> list[str]:
    return sorted(path.name for path in cache_folder().iterdir())


def test_a_download_arrives_whole_in_the_cache_and_is_found_there_the_next_time(tmp_path: Path, server: str) -> None:
    published = put(tmp_path / "published" / FILE)
    there = entry(url=f"{server}/{FILE}")
    path = weights_path(there)
    assert path == cache_folder() / FILE
    assert path.read_bytes() == CONTENT
    assert left_in_cache() == [FILE]
    published.unlink()
    assert weights_path(there) == path


@pytest.mark.parametrize(
    ("size", "trouble"),
    [(len(CONTENT), TruncatedWeights), (None, WrongWeights)],
)
def test_a_download_that_breaks_off_leaves_nothing_behind(tmp_path: Path, server: str, size, trouble) -> None:
    put(tmp_path / "published" / "half.cut")
    with pytest.raises(trouble, match=r"what arrived from http.*half\.cut is truncated.*; try again, or put the file"):
        weights_path(entry(url=f"{server}/half.cut", size=size))
    assert left_in_cache() == []


def test_a_download_of_another_file_leaves_nothing_behind(tmp_path: Path, server: str) -> None:
    put(tmp_path / "published" / FILE, CONTENT[::-1])
    with pytest.raises(WrongWeights, match=r"what arrived from .* is another file"):
        weights_path(entry(url=f"{server}/{FILE}"))
    assert left_in_cache() == []


def test_a_download_that_is_interrupted_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(url: str, destination: str, progress: bool) -> None:
        Path(destination).write_bytes(CONTENT[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.hub, "download_url_to_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        weights_path(entry())
    assert left_in_cache() == []


@pytest.mark.parametrize("trouble", ["refused", "missing"])
def test_offline_one_sentence_says_which_file_to_put_where(server: str, trouble: str) -> None:
    url = f"{server}/gone.pth" if trouble == "missing" else "http://127.0.0.1:9/gone.pth"
    with pytest.raises(WeightsNotAvailable) as caught:
        weights_path(entry(url=url))
    message = str(caught.value)
    assert message.startswith(f"no weights for res2next50.in1k: {url} cannot be downloaded (")
    assert ("HTTP Error 404" if trouble == "missing" else "Connection refused") in message
    assert message.endswith(
        f"; put the file {FILE} into {cache_folder()}, or set RES2NEXT_WEIGHTS to it or to a folder that holds it"
    )
    assert "\n" not in message
    assert left_in_cache() == []


def test_a_timeout_is_told_as_being_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*arguments: object, **options: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(torch.hub, "download_url_to_file", slow)
    with pytest.raises(WeightsNotAvailable, match=r"cannot be downloaded \(timed out\)"):
        weights_path(entry())


def test_what_is_published_nowhere_cannot_be_downloaded() -> None:
    with pytest.raises(WeightsNotAvailable, match="is not published"):
        download(entry(url=None))


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
    path = put(tmp_path / name)
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
    put(find_weights.BUNDLED / published.weights.file, (tmp_path / "w.safetensors").read_bytes())
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
