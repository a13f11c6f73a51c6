"""Render: cards, verdicts and evidence to pages and data files. Imports Jinja2, never torch."""
