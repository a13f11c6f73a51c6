"""Snippets: the Python blocks that a finished page shows are found, run in page order, and compared with what they say.

Importing this package imports neither torch nor Markdown.
"""
