"""Output: from finished texts to files of a site: escapes, addresses, assets, stamps, minified pages."""
