"""Explain: which other way of counting, input size or network gives a stated count that is not the network's."""
