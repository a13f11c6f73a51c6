"""Files of weights: where they are found, and how they are verified and downloaded."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import timm
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

import res2next
from res2next import (
    TruncatedWeights,
    WeightsNotAvailable,
    WrongWeights,
    create_model,
)
from res2next.commands.evaluate import evaluate_
from res2next.registry import ENTRIES, Entry, find
from res2next.weights import (
    cache_folder,
    download,
    file_digest,
    local_weights,
    weights_path,
)
from res2next.weights import find as find_weights

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.usefixtures("no_local_weights")

CONTENT = b"all the tensors of a network " * 40
HEX = sha256(CONTENT).hexdigest()
FILE = f"tiny-{HEX[:8]}.pth"


def entry(*, url: str | None = "http://127.0.0.1:9/nobody", size: int | None = len(CONTENT), file: str = FILE) -> Entry:
    """An entry of the registry for the file of this test."""
    known = find("res2next50")
    return replace(known, weights=replace(known.weights, file=file, url=url, size=size))


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


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


def test_a_truncated_file_is_distinguished_from_another_file(tmp_path: Path) -> None:
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


def test_a_timeout_is_reported_as_being_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*arguments: object, **options: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(torch.hub, "download_url_to_file", slow)
    with pytest.raises(WeightsNotAvailable, match=r"cannot be downloaded \(timed out\)"):
        weights_path(entry())


def test_what_is_published_nowhere_cannot_be_downloaded() -> None:
    with pytest.raises(WeightsNotAvailable, match="is not published"):
        download(entry(url=None))
