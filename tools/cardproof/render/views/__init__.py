"""Views: what a page shows of claims, evidence, training and snippets, in words."""
