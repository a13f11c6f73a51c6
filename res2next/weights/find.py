"""Finds and verifies the file of weights: given, named by the environment, in the package or in a folder of downloads.

Torch is imported only for downloads.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

from res2next.errors import TruncatedWeights, WeightsNotAvailable, WrongWeights
from res2next.files import atomic_path, file_digest
from res2next.registry import ENTRIES

if TYPE_CHECKING:
    from res2next.registry import Entry, Weights

ENVIRONMENT_VARIABLE = "RES2NEXT_WEIGHTS"
"""Environment variable with a file of weights, or a folder with files under their published names."""

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Files of a model on the Hugging Face Hub; timm's have the same tensors."""

BUNDLED = Path(__file__).parents[1] / "pretrained"
"""Folder of the files that come with the package."""


def weights_path(entry: Entry, given: Path | None = None) -> Path:
    """The verified file of an entry's weights; downloaded if it is not on this machine.

    Searched in this order: ``given``; what the environment variable RES2NEXT_WEIGHTS names; for weights that
    come with the package, the package; otherwise torch.hub's folder of downloads, then the cache of huggingface_hub, if
    that package is installed. The published file is downloaded into torch.hub's folder. Size and SHA-256 of a file with
    its published name are verified, the SHA-256 of a file of the Hub by the name of its blob. A file whose name is not
    in the registry is a custom one, and used unverified.

    Args:
        given: a file, or a folder that holds the file under its published name.

    Raises:
        WeightsNotAvailable: ``given`` or the variable names a missing file, or the download failed.
        TruncatedWeights: a file is shorter than it should be.
        WrongWeights: a file does not have the content of its name, or is that of another entry.
    """
    return local_weights(entry, given) or hub_weights(entry) or download(entry)


def local_weights(entry: Entry, given: Path | None = None) -> Path | None:
    """As :func:`weights_path`, but without a download or the Hub's cache: None if the file is not on this machine."""
    if given is not None:
        return _explicit_file(entry, given.expanduser(), origin="")
    if named := os.environ.get(ENVIRONMENT_VARIABLE):
        place = Path(named).expanduser()
        # one variable for all models: it may name another model's file, or a folder without this one's
        elsewhere = place.is_dir() and not (place / entry.weights.file).is_file()
        if not elsewhere and (place.name == entry.weights.file or _entry_of_file(place.name) is None):
            return _explicit_file(entry, place, origin=f" ({ENVIRONMENT_VARIABLE})")
    if entry.weights.url is None:
        return _bundled_file(entry)
    cached = cache_folder() / entry.weights.file
    if not cached.is_file():
        return None
    verify(cached, entry.weights, description=str(cached), advice="delete it, and it is downloaded again")
    return cached


def hub_repository(entry: Entry) -> str | None:
    """The repository of timm on the Hugging Face Hub with an entry's weights, by timm's naming; None if unpublished."""
    return None if entry.weights.url is None else f"timm/{entry.name}"


def hub_weights(entry: Entry) -> Path | None:
    """The file of an entry's weights in the cache of huggingface_hub; None without it. The network is not used.

    It has the tensors of the published file in another format, and so another digest.

    Raises:
        WrongWeights: its SHA-256 is not the one that the Hub gave it as the name of its blob.
    """
    repository = hub_repository(entry)
    if repository is None:
        return None
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    for name in HUB_FILES:
        path = try_to_load_from_cache(repository, name)
        if isinstance(path, str):
            _verify_blob(Path(path))
            return Path(path)
    return None


def _verify_blob(path: Path) -> None:
    """Compare a large file of the Hub with the name of its blob, which is its SHA-256, if the cache links to blobs."""
    expected = path.resolve().name
    if path.is_symlink() and len(expected) == 64 and file_digest(path) != f"sha256:{expected}":
        trouble = f"is truncated or another file: its SHA-256 is not {expected[:8]}…, the name of its blob"
        raise WrongWeights(str(path), trouble, "delete it with `hf cache`, and download it again")


def cache_folder() -> Path:
    """torch.hub's folder of downloads, by torch.hub's rule, without importing torch."""
    if "torch.hub" in sys.modules:  # the folder may have been changed
        return Path(sys.modules["torch.hub"].get_dir()) / "checkpoints"
    torch_home = os.environ.get("TORCH_HOME", f"{os.environ.get('XDG_CACHE_HOME', '~/.cache')}/torch")
    return Path(torch_home).expanduser() / "hub" / "checkpoints"


def download(entry: Entry) -> Path:
    """Download an entry's file to :func:`cache_folder`; it is verified and written atomically.

    Raises:
        WeightsNotAvailable: the file comes with the package and has no address, or the server cannot be reached.
        TruncatedWeights, WrongWeights: the download is not the published file; it is deleted.
    """
    from torch.hub import download_url_to_file

    weights, folder = entry.weights, cache_folder()
    advice = (
        f"put the file {weights.file} into {folder}, or set {ENVIRONMENT_VARIABLE} to it or to a folder that holds it"
    )
    if weights.url is None:
        raise WeightsNotAvailable(entry.name, f"{weights.file} is not published", advice)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / weights.file) as partial:
        try:
            download_url_to_file(weights.url, str(partial), progress=sys.stderr.isatty())
        except (URLError, HTTPException, TimeoutError, ConnectionError) as trouble:
            reason = str(trouble).strip("<>")
            raise WeightsNotAvailable(entry.name, f"{weights.url} cannot be downloaded ({reason})", advice) from trouble
        verify(partial, weights, description=f"what arrived from {weights.url}", advice=f"try again, or {advice}")
    return folder / weights.file


def verify(path: Path, weights: Weights, *, description: str, advice: str) -> None:
    """Compare the file's size, if the published one is known, then the beginning of its SHA-256.

    Args:
        description: of the file, for messages.
        advice: for messages.

    Raises:
        TruncatedWeights: it is shorter than the published file.
        WrongWeights: it is longer, or its SHA-256 is another.
    """
    size = path.stat().st_size
    if weights.size is not None and size < weights.size:
        raise TruncatedWeights(description, weights.file, size, weights.size, advice)
    if weights.size is not None and size > weights.size:
        trouble = f"is another file: {size:,} bytes where {weights.file} has {weights.size:,}"
        raise WrongWeights(description, trouble, advice)
    digest = file_digest(path).removeprefix("sha256:")
    if not digest.startswith(weights.sha256_prefix):
        kind = "truncated or another file" if weights.size is None else "another file"
        known = f"its SHA-256 begins with {digest[:8]}, that of {weights.file} with {weights.sha256_prefix}"
        raise WrongWeights(description, f"is {kind}: {known}", advice)


def _explicit_file(entry: Entry, place: Path, *, origin: str) -> Path:
    weights = entry.weights
    path = place / weights.file if place.is_dir() else place
    if not path.is_file():
        raise WeightsNotAvailable(
            entry.name,
            f"there is no file {path}{origin}",
            f"give a file of weights, or a folder that holds {weights.file}",
        )
    owner = _entry_of_file(path.name)
    if path.name == weights.file:
        advice = f"fetch {weights.file} again, or give weights of your own another name"
        verify(path, weights, description=str(path), advice=advice)
    elif owner is not None:
        advice = f"give {weights.file}, or weights of your own under a name of their own"
        raise WrongWeights(str(path), f"has the name of the weights of {owner.name}, not of {entry.name}", advice)
    return path


def _bundled_file(entry: Entry) -> Path:
    path = BUNDLED / entry.weights.file
    advice = "install the package again"
    if not path.is_file():
        raise WeightsNotAvailable(entry.name, f"{path}, which comes with the package, is missing", advice)
    verify(path, entry.weights, description=str(path), advice=advice)
    return path


def _entry_of_file(file: str) -> Entry | None:
    """The entry of the registry with this file name."""
    return next((entry for entry in ENTRIES if entry.weights.file == file), None)
