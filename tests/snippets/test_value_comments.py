"""Values in comments beside what prints them, as tutorials of PyTorch have them: compared, and never a failure."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cardproof.snippets.compare.comparison import judge_block
from cardproof.snippets.compare.value_comments import compare_value, stated_values, unread_outputs
from cardproof.snippets.run.page_runner import Job, Runner
from cardproof.snippets.types import Block, BlockRun, Options, Printed


def said(code: str, got: str) -> list[str]:
    return [compare_value(stated, got) for stated in stated_values(code)]


HOLDS = [
    ("print(x.shape)  # (3, 4)", "torch.Size([3, 4])"),
    ("x.shape  # (3, 4)", "torch.Size([3, 4])"),
    ("x.shape  # [3, 4]", "torch.Size([3, 4])"),
    ("y; x.shape  # [3, 4]", "torch.Size([3, 4])"),
    ("x.shape  # torch.Size([3, ...])", "torch.Size([3, 4, 5])"),
    ("print(y)  # → tensor(7.)", "tensor(7.)"),
    ("print(y)  # tensor([0.4963, 0.7682])", "tensor([0.1111, 0.2222])"),
    ("print(y)  # tensor([0.5], grad_fn=<AddBackward>)", "tensor([0.1], grad_fn=<AddBackward0>)"),
    ("print(y)  # tensor([1, 2], device='cuda:0')", "tensor([1, 2])"),
    ("print(y)\n# tensor([[1, 2],\n#         [3, 4]])", "tensor([[1, 2], [3, 4]])"),
    ("print(a, b)  # torch.Size([3]) 4", "torch.Size([3]) 4"),
    ("print(a)  # 'a'", "a"),
    ("print('Shape:', s)  # torch.Size([9])", "Shape: torch.Size([9])"),
    ("x.dtype  # float32", "dtype('float32')"),
    ("x.sum()  # 3.0", "np.float64(3.0)"),
    ("x.mean()  # tensor(-1.3e-09)", "tensor(2.1e-09)"),
    ("print(a)\n# [[1 2]\n#  [3 4]]", "[[1 2]\n [3 4]]"),
    ("print(a)  # <class 'torch.Tensor'>", "<class 'torch.Tensor'>"),
    ("print(a)  # -> any words", "any words"),
]
DIFFERS = [
    ("print(x.shape)  # torch.Size([9, 9])", "torch.Size([3, 4])"),
    ("x.shape  # (3, 5)", "torch.Size([3, 4])"),
    ("print(y)  # -> tensor(7.)", "tensor(8.)"),
    ("print(d)  # torch.float32", "torch.float16"),
    ("print(y)  # tensor([0.4963, 0.7682])", "tensor([0.1111, 0.2222, 0.33])"),
    ("print(y)\n# tensor([[1, 2],\n#         [3, 4]])", "tensor([[1, 2], [3, 5]])"),
    ("print(a, b)  # torch.Size([3]) torch.Size([4])", "torch.Size([3]) torch.Size([5])"),
    ("print(a)  # <class 'torch.Tensor'>", "<class 'int'>"),
    ("print(a)\n# [[1 2]\n#  [3 4]]", "[[1 2]\n [3 5]]"),
    ("print(a)  # True", "False"),
    ("print(len(d))  # 60000", "50000"),
    ("x.sum()  # 3", "np.int64(4)"),
    ("print(f(x))  # => 4", "5"),
    ("print('Shape:', s)  # torch.Size([9])", "Shape: torch.Size([8])"),
]
UNRELATED = [
    ("y(x)  # (3, 4)", "tensor([[1.]])"),
    ("print(y)  # torch.Size([3, 4])", "tensor([[1.]])"),
    ("print('acc', y)  # 0.87", "acc 0.12"),
    ("print(a)  # [1]", "[2]"),
    ("print(a)  # 'see below'", "3"),
    ("m.eval()  # 1", "Linear(in_features=1)"),
    ("x  # True", "tensor([1])"),
    ("x.device  # device(type='cuda', index=0)", "device(type='cpu')"),
    ("print(torch.randint(0, 9, (2,)))  # tensor([3, 5])", "tensor([7, 1])"),
    ("print(time.time())  # 1700000000", "1800000000"),
]
ORDINARY = [
    "x = f(x)  # shape (N, C)",
    "x = f(x)  # (1, 64, 56, 56)",
    "x = f(x)  # -> (N, C)",
    "print(y)  # torch.float32 only",
    "print(y)  # 3 layers",
    "print(d)  # torch.Size([1, 3, 224, 224]) or similar",
    "print(d)  # {...}",
    "print(d)  # x",
    "print(d)  # x + 1",
    "print(d)  # (optional)",
    "print(d)  # see f(x)",
    "# 3\nprint(d)",
    "print(d)\n\n# 3",
    "print('# 3')",
    "import torch  # 2.1",
    "def f():\n    x.shape  # (3, 4)",
    "'text'  # 'text'",
]


@pytest.mark.parametrize(("code", "got"), HOLDS)
def test_values_that_came_out(code, got):
    assert said(code, got) == ["holds"]


@pytest.mark.parametrize(("code", "got"), DIFFERS)
def test_values_that_did_not_come_out(code, got):
    assert said(code, got) == ["differs"]


@pytest.mark.parametrize(("code", "got"), UNRELATED)
def test_values_that_speak_of_something_else(code, got):
    assert said(code, got) == ["unrelated"]


@pytest.mark.parametrize("code", ORDINARY)
def test_an_ordinary_comment_states_no_value(code):
    assert stated_values(code) == ()


def test_a_marked_comment_that_cannot_be_compared_is_unclear():
    assert said("print(f(x))  # -> what it is", "5") == ["unclear"]
    assert said("print(f(x))  # -> tensor(5)", "<Foo>") == ["unclear"]


def test_a_comment_that_is_compared_is_not_reported_as_unread():
    code = "print(1)  # => 1\nx = 1  # => 1\nprint(2)  # prints: 2"
    assert unread_outputs(Block("page.md", 1, code, Options())) == (2,)


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_a_comment_says_it_can_be_compared(comment, got):
    assume("\n" not in comment and "\r" not in comment)
    for stated in stated_values(f"print(x)  # {comment}"):
        assert compare_value(stated, got) in ("holds", "differs", "unclear", "unrelated")


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.data())
def test_another_whole_number_never_holds(sizes, data):
    at = data.draw(st.integers(0, len(sizes) - 1))
    other = [*sizes[:at], data.draw(st.integers(0, 99)), *sizes[at + 1 :]]
    assert (said(f"print(x)  # torch.Size({sizes})", f"torch.Size({other})") == ["holds"]) == (sizes == other)
    assert (said(f"print(x)  # tensor({sizes})", f"tensor({other})") == ["holds"]) == (sizes == other)


@pytest.fixture(scope="module")
def judged():
    """Return a function that runs a block in a process of its own and judges it."""
    with Runner(preload=()) as runner:

        def _judged(code: str, **more):
            block = Block("page.md", 10, code, Options())
            (ran,) = runner.run(Job("page.md", (block,)))
            return judge_block(block, ran, "cpu", **more)

        yield _judged


def test_a_value_of_a_bare_expression_is_compared_and_not_shown(judged):
    outcome = judged("x = (3, 4)\nx  # (3, 5)\nx  # (3, 4)\nprint(x)  # -> (3, 6)")
    assert outcome.status == "pass"
    assert outcome.warnings == (
        'line 11: the comment says "(3, 5)", it is "(3, 4)"',
        'line 13: the comment says "(3, 6)", it is "(3, 4)"',
    )
    assert [item.text for item in outcome.ran.printed] == ["", "", "", "(3, 4)\n"]


def test_a_value_that_cannot_be_shown_fails_no_block(judged):
    outcome = judged(
        "class A:\n    def __repr__(self):\n        raise ValueError\nA()  # 3\nNone  # 3\n'x' * 10**7  # 'y'"
    )
    assert (outcome.status, outcome.warnings) == ("pass", ())


def test_a_print_in_a_function_is_compared_if_it_ran(judged):
    code = "def f(x):\n    print(x)  # 3\n{}\nfor i in range(2):\n    print(i)  # 7"
    assert judged(code.format("f(3)")).warnings == ('line 14: the comment says "7", it is "0"',)
    assert judged(code.format("f(4)")).warnings[0] == 'line 11: the comment says "3", it is "4"'
    assert len(judged(code.format("")).warnings) == 1


def test_with_random_weights_only_shapes_and_types_are_compared():
    block = Block("page.md", 1, "print(y)  # 281\nprint(x)  # torch.Size([2])", Options())
    ran = BlockRun(True, (Printed(1, 1, "7\n"), Printed(2, 2, "torch.Size([3])\n")))
    assert [text[:7] for text in judge_block(block, ran, "cpu", values=False).warnings] == ["line 2:"]
