"""Explain: the way of counting, input size or class count that gives a stated count which is not the network's."""
