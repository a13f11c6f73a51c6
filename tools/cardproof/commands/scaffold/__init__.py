"""Scaffold: a site for the models of a zoo, with one card for each family and the values measured today."""
