"""Pages that use torch, forked from a process that has imported it and does nothing else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from running import Pages, assert_nothing_left, pages

from cardproof.snippets.run.page_runner import ServerState
from cardproof.snippets.types import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each page gets a fresh interpreter")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def _page(folder: Path) -> Iterator[Pages]:
    with pages(folder, Limits(), preload=("torch",)) as found:
        yield found


@pytest.fixture
def page(_page: Pages, folder: Path) -> Iterator[Pages]:
    yield _page
    assert_nothing_left(_page.runner, folder)
    state = _page.runner.state("cpu")
    assert state == ServerState(state.pid, threads=1, device_in_use=False)


def test_parallel_operations_work_page_after_page(page: Pages) -> None:
    code = "import torch\ntorch.set_num_threads(2)\nprint(torch.ones(200_000).exp().sum() > 0)"
    assert [page.out(code) for _ in range(3)] == ["tensor(True)\n"] * 3


def test_a_page_starts_with_torch_imported(page: Pages) -> None:
    assert page.out("import sys\nprint('torch' in sys.modules)") == "True\n"


def test_global_state_does_not_leak_into_the_next_page(page: Pages) -> None:
    change = "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_num_threads(1)\ntorch.manual_seed(123)"
    look = "import torch\nprint(torch.zeros(1).dtype, torch.get_num_threads(), torch.rand(1).item())"
    before = page.out(look)
    page.out(change)
    assert page.out(look) == before


def test_torch_is_seeded_for_each_page(page: Pages) -> None:
    code = "import torch\nprint(torch.rand(1).item())"
    assert page.out(code, seed=1) == page.out(code, seed=1) != page.out(code, seed=2)


def test_data_loader_workers_run_and_end(page: Pages) -> None:
    code = (
        "import torch\nfrom torch.utils.data import DataLoader, TensorDataset\n"
        "dl = DataLoader(TensorDataset(torch.arange(8)), batch_size=4, num_workers=1)\n"
        "if __name__ == '__main__':\n    for (b,) in dl:\n        print(b.tolist())"
    )
    assert page.out(code) == "[0, 1, 2, 3]\n[4, 5, 6, 7]\n"


def test_a_spawned_worker_knows_a_data_set_that_the_page_defines(page: Pages) -> None:
    define = (
        "import torch\nfrom torch.utils.data import DataLoader, Dataset\nclass Squares(Dataset):\n"
        "    def __len__(self):\n        return 2\n    def __getitem__(self, k):\n        return k * k"
    )
    loader = "DataLoader(Squares(), batch_size=2, num_workers=1, multiprocessing_context='spawn')"
    use = f"if __name__ == '__main__':\n    print(*{loader})"
    assert page.out(define, use) == "tensor([0, 1])\n"


def test_a_tensor_that_is_too_big_is_an_error_of_the_code(page: Pages) -> None:
    assert "allocate" in page.error("import torch\nt = torch.ones(40_000_000_000, dtype=torch.uint8)")


def test_a_script_of_the_page_s_source_can_be_compiled(page: Pages) -> None:
    assert page.out("import torch\n@torch.jit.script\ndef f(x: int) -> int:\n    return x + 1\nprint(f(1))") == "2\n"


def test_no_gpu_is_visible_on_the_cpu(page: Pages) -> None:
    assert page.out("import torch\nprint(torch.cuda.is_available())") == "False\n"


def test_a_fresh_interpreter_gives_the_same_as_a_forked_page(page: Pages, folder: Path) -> None:
    code = "import random, numpy, torch\nprint(hash('a'), random.random(), numpy.random.rand(), torch.rand(1).item())"
    with pages(folder, Limits(), preload=()) as fresh:
        assert fresh.out(code) == page.out(code)
