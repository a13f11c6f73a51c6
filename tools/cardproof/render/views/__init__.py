"""Views: claims, evidence, training and snippets in the words of a page."""
