"""Trained weights: find their file, read it, and load it into a network.

Files are found and verified without torch, which is imported for downloads and loading.
"""

from __future__ import annotations

from res2next.files import file_digest
from res2next.weights.find import cache_folder, download, local_weights, weights_path
from res2next.weights.fit import load_pretrained, load_weights
from res2next.weights.read import read_state_dict

__all__ = [
    "cache_folder",
    "download",
    "file_digest",
    "load_pretrained",
    "load_weights",
    "local_weights",
    "read_state_dict",
    "weights_path",
]
