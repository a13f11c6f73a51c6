"""Output: files of a site from finished texts: escapes, addresses, assets, stamps, minified pages."""
