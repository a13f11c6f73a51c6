"""Cardproof: model cards that are proved while they are rendered."""

__version__ = "0.1.0"
