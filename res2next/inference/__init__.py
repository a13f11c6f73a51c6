"""Inference: faster networks with the same outputs, engines, memory settings, and export to ONNX."""

from __future__ import annotations

from res2next.inference.engines import CHOICES, Engine, Exported, choose_engine, quantize
from res2next.inference.memory import keep_memory
from res2next.inference.network import Optimized, can_optimize, evaluating, optimize
from res2next.inference.onnx import export_onnx

__all__ = [
    "CHOICES",
    "Engine",
    "Exported",
    "Optimized",
    "can_optimize",
    "choose_engine",
    "evaluating",
    "export_onnx",
    "keep_memory",
    "optimize",
    "quantize",
]
