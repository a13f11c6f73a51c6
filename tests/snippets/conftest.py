"""Fixtures of tests that run pages: hostile ones with and without namespaces, and those of the hubs' libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from running import Pages, assert_nothing_left, pages

from cardproof.snippets.run.page_runner import Runner
from cardproof.snippets.types import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def hubs() -> Iterator[Runner]:
    """One server for all pages that use torch and the hubs: importing them is most of what such pages cost."""
    with Runner(Limits(), ("torch", "torchvision", "torchvision.datasets", "timm", "transformers")) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module", params=[True, False], ids=["namespaces", "no namespaces"])
def _page(folder: Path, request: pytest.FixtureRequest) -> Iterator[Pages]:
    with pages(folder, request.module.LIMITS, namespaces=request.param) as found:
        yield found


@pytest.fixture
def page(_page: Pages, folder: Path) -> Iterator[Pages]:
    yield _page
    assert_nothing_left(_page.runner, folder)
