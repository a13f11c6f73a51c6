"""Networks as they are used: faster with the same outputs, in memory that stays, and outside of torch."""

from __future__ import annotations

from res2next.inference.memory import keep_memory
from res2next.inference.network import Optimized, can_optimize, evaluating, optimize
from res2next.inference.onnx import export_onnx

__all__ = ["Optimized", "can_optimize", "evaluating", "export_onnx", "keep_memory", "optimize"]
