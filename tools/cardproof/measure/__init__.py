"""Measuring: builds a network, counts it, and finds out how a stated count came about.

Importing this package imports no torch; :mod:`~cardproof.measure.model_evidence` does.
"""
