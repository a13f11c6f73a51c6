"""Whatever multiplies matrices, however it is called, is counted as a formula by hand says, or named as not counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from cardproof.core.measurements import Counts
from cardproof.measure.count.counts import count
from cardproof.measure.count.meta_network import build_on_meta

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")

IMAGE = (3, 8, 8)
"""Of most networks here; flat, it has 192 values."""


def counted(build: Callable[[], nn.Module], shape: tuple[int, int, int] = IMAGE) -> Counts:
    return count(build_on_meta(build), shape)


class Applied(nn.Module):
    """Layers and a function of them and of the image."""

    def __init__(self, function: Callable[[Any, Tensor], Any], **layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.layers, x)


def apply(function: Callable[[Any, Tensor], Any], **layers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Return a builder of a network of layers and a function."""
    return lambda: Applied(function, **{name: build() for name, build in layers.items()})


def of_image(function: Callable[[Tensor], Any]) -> Callable[[], nn.Module]:
    """Return a builder of a network without layers."""
    return lambda: Applied(lambda _, x: function(x))


# One product in every way of running it


class Products(nn.Module):
    """A convolution over rows, a linear layer, and two matrices: 3 rows of 64 values each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, padding=1)
        self.fc = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc(torch.relu(self.conv(x.flatten(2))))
        return torch.matmul(x, x.transpose(1, 2))


CONV, FC, PRODUCT = 4 * 64 * 3 * 3, 4 * 64 * 5, 4 * 4 * 5
EVERY_PRODUCT = CONV + FC + PRODUCT


class In(nn.Module):
    """A network inside a context."""

    def __init__(self, context: Callable[[], Any], network: nn.Module) -> None:
        super().__init__()
        self.context = context
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        with self.context():
            return self.network(x)


class Decorated(Products):
    """Its forward is in inference mode by a decorator."""

    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class CompiledInPlace(nn.Module):
    """Compiles its network as a method."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Products()
        self.network.compile(backend="eager")

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


RUNS: dict[str, Callable[[], nn.Module]] = {
    "eager": Products,
    "in inference mode": lambda: In(torch.inference_mode, Products()),
    "in inference mode by a decorator": Decorated,
    "recording gradients": lambda: In(torch.enable_grad, Products()),
    "without gradients": lambda: In(torch.no_grad, Products()),
    "mixed precision": lambda: In(lambda: torch.autocast("cpu", torch.bfloat16), Products()),
    "half precision": lambda: Products().half(),
    "double precision": lambda: Products().double(),
    "scripted": lambda: torch.jit.script(Products()),
    "traced": lambda: torch.jit.trace(Products(), torch.empty(1, *IMAGE)),
    "scripted in inference mode": lambda: In(torch.inference_mode, torch.jit.script(Products())),
    "compiled": lambda: torch.compile(Products(), backend="eager"),
    "compiled in place": CompiledInPlace,
    "compiled in inference mode": lambda: In(torch.inference_mode, torch.compile(Products(), backend="eager")),
    "checkpointed": apply(lambda own, x: checkpoint(own["net"], x, use_reentrant=False), net=Products),
    "checkpointed again": apply(lambda own, x: checkpoint(own["net"], x, use_reentrant=True), net=Products),
    "checkpointed in segments": apply(
        lambda own, x: checkpoint_sequential([own["net"]], 1, x, use_reentrant=False), net=Products
    ),
    "symbolically traced": lambda: torch.fx.symbolic_trace(Products()),
    "data parallel": lambda: nn.DataParallel(Products()),
    "in a sequence": lambda: nn.Sequential(nn.Identity(), Products(), nn.Flatten()),
    "called as a function": apply(
        lambda own, x: torch.func.functional_call(own["net"], dict(own["net"].named_parameters()), (x,)), net=Products
    ),
    "under vmap": apply(lambda own, x: torch.vmap(own["net"])(x[None]), net=Products),
    "under vmap in inference mode": lambda: In(
        torch.inference_mode, Applied(lambda own, x: torch.vmap(own["net"])(x[None]), net=Products())
    ),
    "an averaged model": lambda: torch.optim.swa_utils.AveragedModel(Products()),
    "channels last": lambda: Products().to(memory_format=torch.preserve_format),
    "with hooks": lambda: hooked(Products()),
}


def hooked(network: nn.Module) -> nn.Module:
    """Return the network with a hook that multiplies nothing."""
    network.register_forward_hook(lambda *_: None)
    return network


@pytest.mark.parametrize("build", RUNS.values(), ids=RUNS)
def test_every_product_is_counted_however_the_network_runs(build: Callable[[], nn.Module]) -> None:
    found = counted(build)
    assert (found.multiply_adds, found.uncounted) == (EVERY_PRODUCT, ())


# Every operation that multiplies


def flat(x: Tensor) -> Tensor:
    """Return the image as one row of 192 values."""
    return x.reshape(1, 192)


def rows(x: Tensor) -> Tensor:
    """Return the image as 24 rows of 8 values."""
    return x.reshape(24, 8)


def batch(x: Tensor) -> Tensor:
    """Return the image as 3 matrices of 8x8."""
    return x.reshape(3, 8, 8)


SQUARES = 3 * 8 * 8 * 8
"""The product of the three channels with themselves."""

TRANSFORMER = 64 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 64 * 64 * 16
"""An encoder layer of width 16 and 32 on 64 tokens: four projections, two layers, and both products of attention."""


def tokens(x: Tensor) -> Tensor:
    """Return 16 channels as 64 tokens of width 16."""
    return x.repeat(1, 6, 1, 1)[:, :16].flatten(2).transpose(1, 2)


def encoder(**options: Any) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2, **options)


def as_int8(x: Tensor) -> Tensor:
    return x.to(torch.int8)


COUNTED: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "mm": (of_image(lambda x: torch.mm(rows(x), rows(x).t())), 24 * 24 * 8),
    "mm into a tensor": (of_image(lambda x: torch.mm(rows(x), rows(x).t(), out=x.new_empty(24, 24))), 24 * 24 * 8),
    "mv": (of_image(lambda x: rows(x).mv(rows(x)[0])), 24 * 8),
    "dot": (of_image(lambda x: torch.dot(x.flatten(), x.flatten())), 192),
    "vdot": (of_image(lambda x: torch.vdot(x.flatten(), x.flatten())), 192),
    "inner": (of_image(lambda x: torch.inner(rows(x), rows(x))), 24 * 24 * 8),
    "vecdot": (of_image(lambda x: torch.linalg.vecdot(rows(x), rows(x))), 192),
    "bmm": (of_image(lambda x: torch.bmm(batch(x), batch(x))), SQUARES),
    "operator": (of_image(lambda x: batch(x) @ batch(x)), SQUARES),
    "addmm": (of_image(lambda x: torch.addmm(x.new_empty(24), rows(x), rows(x).t(), beta=0.5)), 24 * 24 * 8),
    "addmm in place": (of_image(lambda x: x.new_empty(24, 24).addmm_(rows(x), rows(x).t())), 24 * 24 * 8),
    "addmv": (of_image(lambda x: torch.addmv(x.new_empty(24), rows(x), rows(x)[0])), 24 * 8),
    "addr": (of_image(lambda x: torch.addr(rows(x), x.new_empty(24), x.new_empty(8))), 192),
    "baddbmm": (of_image(lambda x: torch.baddbmm(batch(x), batch(x), batch(x))), SQUARES),
    "baddbmm in place": (of_image(lambda x: batch(x).clone().baddbmm_(batch(x), batch(x))), SQUARES),
    "addbmm": (of_image(lambda x: torch.addbmm(batch(x)[0], batch(x), batch(x))), SQUARES),
    "tensordot": (of_image(lambda x: torch.tensordot(batch(x), batch(x), dims=([1, 2], [1, 2]))), 3 * 3 * 64),
    "multi_dot": (of_image(lambda x: torch.linalg.multi_dot([rows(x).t(), rows(x), rows(x).t()])), 2 * 8 * 8 * 24),
    "matrix_power": (of_image(lambda x: torch.linalg.matrix_power(batch(x), 4)), 2 * SQUARES),
    "einsum": (of_image(lambda x: torch.einsum("bij,bjk->bik", batch(x), batch(x))), SQUARES),
    "einsum of three": (of_image(lambda x: torch.einsum("bij,bjk,bkl->bil", *[batch(x)] * 3)), 2 * SQUARES),
    "einsum without a sum": (of_image(lambda x: torch.einsum("bij,bij->bij", batch(x), batch(x))), 0),
    "int_mm": (of_image(lambda x: torch._int_mm(as_int8(rows(x)), as_int8(rows(x)).t())), 24 * 24 * 8),
    "weights of 8 bits": (
        of_image(lambda x: torch._weight_int8pack_mm(rows(x).bfloat16(), as_int8(rows(x)), x.new_empty(24).bfloat16())),
        24 * 24 * 8,
    ),
    "scaled_mm": (of_image(lambda x: _scaled(x)), 16 * 16 * 32),
    "bilinear": (
        apply(lambda own, x: own["layer"](rows(x), rows(x)[:, :7]), layer=lambda: nn.Bilinear(8, 7, 5)),
        24 * (5 * 8 * 7 + 5 * 8),
    ),
    "bilinear in inference mode": (
        lambda: In(
            torch.inference_mode, Applied(lambda own, x: own["l"](flat(x), flat(x)), l=nn.Bilinear(192, 192, 5))
        ),
        5 * 192 * 192 + 5 * 192,
    ),
    "affine grid": (of_image(lambda x: F.affine_grid(x.new_empty(1, 2, 3), [1, 3, 8, 8])), 64 * 2 * 3),
    "weighted bag of embeddings": (
        apply(
            lambda own, x: own["bag"](rows(x).long(), per_sample_weights=rows(x)),
            bag=lambda: nn.EmbeddingBag(10, 6, mode="sum"),
        ),
        192 * 6,
    ),
    "bag of embeddings": (apply(lambda own, x: own["bag"](rows(x).long()), bag=lambda: nn.EmbeddingBag(10, 6)), 0),
    "embedding": (apply(lambda own, x: own["table"](rows(x).long()), table=lambda: nn.Embedding(10, 6)), 0),
    "elementwise": (of_image(lambda x: (x * x).sum() + torch.addcmul(x, x, x).mean() + x.norm()), 0),
    "resized": (of_image(lambda x: F.interpolate(x, scale_factor=2, mode="bicubic", antialias=True)), 0),
    "sampled": (of_image(lambda x: F.grid_sample(x, x.new_empty(1, 4, 4, 2))), 0),
    "transposed convolution": (lambda: nn.ConvTranspose2d(3, 6, 2, stride=2, bias=False), 3 * 64 * 6 * 4),
    "grouped transposed convolution": (lambda: nn.ConvTranspose2d(3, 6, 3, groups=3), 3 * 64 * 2 * 9),
    "dilated convolution": (lambda: nn.Conv2d(3, 6, 3, dilation=2), 6 * 4 * 4 * 27),
    "grouped convolution": (lambda: nn.Conv2d(3, 6, 3, groups=3), 6 * 6 * 6 * 9),
    "circular convolution": (lambda: nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular"), 6 * 64 * 27),
    "convolution in three dimensions": (apply(lambda own, x: own["c"](x[None]), c=lambda: nn.Conv3d(1, 2, 3)), 36 * 54),
    "transposed convolution of a row": (
        apply(lambda own, x: own["c"](x.flatten(2)), c=lambda: nn.ConvTranspose1d(3, 5, 3)),
        3 * 64 * 5 * 3,
    ),
    "convolution of an unbatched image": (apply(lambda own, x: own["c"](x[0]), c=lambda: nn.Conv2d(3, 6, 3)), 216 * 27),
    "convolution as a function": (
        of_image(lambda x: F.conv2d(x, x.new_empty(6, 3, 3, 3), padding="same")),
        6 * 64 * 27,
    ),
    "conv_tbc": (
        of_image(lambda x: torch.conv_tbc(rows(x)[:, None], x.new_empty(3, 8, 5), x.new_empty(5))),
        22 * 5 * 24,
    ),
    "unfolded convolution": (
        of_image(lambda x: x.new_empty(6, 27) @ F.unfold(x, 3)),
        6 * 36 * 27,
    ),
    "lazy layers": (
        lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(5)),
        4 * 36 * 27 + 4 * 36 * 5,
    ),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), 4 * 36 * 27),
    "older weight norm": (lambda: nn.utils.weight_norm(nn.Conv2d(3, 4, 3)), 4 * 36 * 27),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)), 4 * 36 * 27 + 4 * 27 + 4),
    "fused with batch norm": (
        lambda: nn.utils.fusion.fuse_conv_bn_eval(nn.Conv2d(3, 4, 3).eval(), nn.BatchNorm2d(4).eval()),
        4 * 36 * 27,
    ),
    "tied weights": (
        apply(lambda own, x: own["a"](F.linear(own["a"](rows(x)), own["a"].weight)), a=lambda: nn.Linear(8, 8)),
        3 * 24 * 64,
    ),
    "a layer that runs twice": (
        apply(lambda own, x: own["a"](own["a"](rows(x))), a=lambda: nn.Linear(8, 8)),
        2 * 24 * 64,
    ),
    "pruned": (lambda: _pruned(), 4 * 36 * 27),
    "LSTM": (
        apply(lambda own, x: own["net"](rows(x)[None])[0], net=lambda: nn.LSTM(8, 6, batch_first=True)),
        24 * 4 * 6 * (8 + 6),
    ),
    "LSTM in both directions with a projection": (
        apply(
            lambda own, x: own["net"](rows(x)[:, None])[0],
            net=lambda: nn.LSTM(8, 6, proj_size=5, bidirectional=True),
        ),
        2 * 24 * (4 * 6 * (8 + 5) + 6 * 5),
    ),
    "LSTM in inference mode": (
        lambda: In(torch.inference_mode, Applied(lambda own, x: own["net"](rows(x)[:, None])[0], net=nn.LSTM(8, 6, 2))),
        24 * 4 * 6 * (8 + 6 + 6 + 6),
    ),
    "GRU": (apply(lambda own, x: own["net"](rows(x)[:, None])[0], net=lambda: nn.GRU(8, 6)), 24 * 3 * 6 * 14),
    "RNN": (apply(lambda own, x: own["net"](rows(x)[:, None])[0], net=lambda: nn.RNN(8, 6)), 24 * 6 * 14),
    "LSTM cell": (apply(lambda own, x: own["net"](rows(x))[0], net=lambda: nn.LSTMCell(8, 6)), 24 * 4 * 6 * 14),
    "GRU cell": (apply(lambda own, x: own["net"](rows(x)), net=lambda: nn.GRUCell(8, 6)), 24 * 3 * 6 * 14),
    "RNN cell": (apply(lambda own, x: own["net"](rows(x)), net=lambda: nn.RNNCell(8, 6)), 24 * 6 * 14),
    "multi-head attention": (
        apply(
            lambda own, x: own["net"](tokens(x), tokens(x), tokens(x), need_weights=False)[0],
            net=lambda: nn.MultiheadAttention(16, 4, batch_first=True),
        ),
        64 * 4 * 16 * 16 + 2 * 64 * 64 * 16,
    ),
    "multi-head attention with its weights": (
        apply(lambda own, x: own["net"](tokens(x), tokens(x), tokens(x))[0], net=lambda: nn.MultiheadAttention(16, 4)),
        64 * 4 * 16 * 16 + 2 * 64 * 16,
    ),
    "attention of grouped queries": (
        of_image(
            lambda x: F.scaled_dot_product_attention(
                x.new_empty(1, 4, 8, 8), x.new_empty(1, 2, 8, 8), x.new_empty(1, 2, 8, 8), enable_gqa=True
            )
        ),
        2 * 4 * 8 * 8 * 8,
    ),
    "attention of matrices": (of_image(lambda x: F.scaled_dot_product_attention(*[batch(x)[0]] * 3)), 2 * 8 * 8 * 8),
    "attention kernel of the CPU": (
        of_image(lambda x: torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(x, x, x)),
        2 * 3 * 8 * 8 * 8,
    ),
    "encoder": (apply(lambda own, x: own["net"](tokens(x)), net=encoder), 2 * TRANSFORMER),
    "encoder in inference mode": (
        lambda: In(torch.inference_mode, Applied(lambda own, x: own["net"](tokens(x)), net=encoder())),
        2 * TRANSFORMER,
    ),
    "encoder with a mask of padding": (
        apply(
            lambda own, x: own["net"](tokens(x), src_key_padding_mask=x.new_zeros(1, 64, dtype=torch.bool)),
            net=encoder,
        ),
        2 * TRANSFORMER,
    ),
    "decoder": (
        apply(
            lambda own, x: own["net"](tokens(x), tokens(x)),
            net=lambda: nn.TransformerDecoderLayer(16, 4, 32, batch_first=True),
        ),
        TRANSFORMER + 64 * 4 * 16 * 16 + 2 * 64 * 64 * 16,
    ),
    "five linear layers under vmap": (
        of_image(lambda x: torch.vmap(lambda w: F.linear(flat(x), w))(x.new_empty(5, 128, 192))),
        5 * 128 * 192,
    ),
    "five convolutions under vmap": (
        of_image(lambda x: torch.vmap(lambda w: F.conv2d(x, w, padding=1))(x.new_empty(5, 4, 3, 3, 3))),
        5 * 4 * 64 * 27,
    ),
    "vmap in vmap": (
        of_image(lambda x: torch.vmap(torch.vmap(torch.dot))(batch(x), batch(x))),
        192,
    ),
    "vecdot under vmap": (of_image(lambda x: torch.vmap(torch.linalg.vecdot)(batch(x), batch(x))), 192),
    "a Jacobian": (
        of_image(lambda x: torch.func.jacrev(lambda v: x.new_empty(4, 192) @ v)(x.flatten())),
        4 * 192 + 4 * 4 * 192,
    ),
    "a gradient inside": (
        of_image(lambda x: torch.func.grad(lambda v: (x.new_empty(4, 192) @ v).sum())(x.flatten())),
        2 * 4 * 192,
    ),
    "deformable convolution": (lambda: _deformable(), 18 * 64 * 27 + 6 * 64 * 27),
}


def _scaled(x: Tensor) -> Tensor:
    """Return the product of two matrices of 8-bit floats: 16x32 by 32x16."""
    eight = x.new_empty(16, 32).to(torch.float8_e4m3fn)
    return torch._scaled_mm(eight, eight.t(), x.new_empty(1), x.new_empty(1))


def _pruned() -> nn.Module:
    """Return a convolution with a mask over its weights: what is zero is multiplied all the same."""
    layer = nn.Conv2d(3, 4, 3)
    prune.custom_from_mask(layer, "weight", torch.ones(4, 3, 3, 3))
    return layer


def _deformable() -> nn.Module:
    """Return a deformable convolution with the convolution that gives its offsets."""
    ops = pytest.importorskip("torchvision.ops")
    return Applied(
        lambda own, x: own["conv"](x, own["offsets"](x)),
        conv=ops.DeformConv2d(3, 6, 3, padding=1),
        offsets=nn.Conv2d(3, 18, 3, padding=1),
    )


@pytest.mark.parametrize(("build", "right"), COUNTED.values(), ids=COUNTED)
def test_every_operation_that_multiplies_equals_its_formula(build: Callable[[], nn.Module], right: int) -> None:
    found = counted(build)
    assert (found.multiply_adds, found.uncounted) == (right, ())


def test_a_deformable_convolution_of_torchvision_s_own_size() -> None:
    ops = pytest.importorskip("torchvision.ops")
    build = apply(
        lambda own, x: own["conv"](x, own["offsets"](x)),
        conv=lambda: ops.DeformConv2d(3, 16, 3, padding=1),
        offsets=lambda: nn.Conv2d(3, 18, 3, padding=1),
    )
    assert counted(build, (3, 32, 32)).multiply_adds == 1024 * 27 * (16 + 18) == 940_032


# What has no formula is named


@torch.library.custom_op("cardproof_tests::multiply", mutates_args=())
def multiply(a: Tensor, b: Tensor) -> Tensor:
    return a @ b


@multiply.register_fake
def _multiplied(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], b.shape[1])


NAMED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "an operation of somebody's own": (of_image(lambda x: multiply(rows(x), rows(x).t())), "cardproof_tests::multiply"),
    "one in inference mode": (
        lambda: In(torch.inference_mode, Applied(lambda _, x: multiply(rows(x), rows(x).t()))),
        "cardproof_tests::multiply",
    ),
    "Fourier transform": (of_image(torch.fft.fft2), "_fft_c2c"),
    "spectrogram": (of_image(lambda x: torch.stft(x.flatten(), 16, return_complex=True)), "_fft_r2c"),
    "distances": (of_image(lambda x: torch.cdist(rows(x), rows(x))), "_cdist_forward"),
    "many distances": (of_image(lambda x: torch.cdist(x.reshape(48, 4), x.reshape(48, 4))), "_euclidean_dist"),
    "matrix exponential": (of_image(lambda x: torch.linalg.matrix_exp(batch(x))), "linalg_matrix_exp"),
    "inverse": (of_image(lambda x: torch.linalg.inv(batch(x))), "linalg_inv_ex"),
    "singular values": (of_image(lambda x: torch.linalg.svdvals(batch(x))), "_linalg_svd"),
    "complex product": (of_image(lambda x: batch(x).cfloat() @ batch(x).cfloat()), "a product of complex numbers"),
    "attention kernel": (
        of_image(lambda x: torch.ops.aten._flash_attention_forward(
            *[x.new_empty(1, 8, 2, 8)] * 3, None, None, 8, 8, 0.0, False, False
        )),
        "_flash_attention_forward",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("build", "name"), NAMED.values(), ids=NAMED)
def test_what_has_no_formula_is_named(build: Callable[[], nn.Module], name: str) -> None:
    assert counted(build).uncounted == (name,)


def test_nothing_is_proved_absent_if_an_operation_may_be_anything() -> None:
    assert counted(of_image(lambda x: multiply(rows(x), rows(x).t()))).parts == {}
