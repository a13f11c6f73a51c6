"""Inference: faster networks with the same outputs, engines, memory settings, and export to ONNX."""

from __future__ import annotations

from res2next.inference.engines import CHOICES, Engine, Exported, choose_engine, quantize
from res2next.inference.network import Optimized, can_optimize, evaluation_mode, keep_memory, optimize
from res2next.inference.onnx import export_onnx

__all__ = [
    "CHOICES",
    "Engine",
    "Exported",
    "Optimized",
    "can_optimize",
    "choose_engine",
    "evaluation_mode",
    "export_onnx",
    "keep_memory",
    "optimize",
    "quantize",
]
