"""Plugins: cardproof inside mkdocs and pytest, and the watcher that renders after each edit."""
