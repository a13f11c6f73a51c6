"""Catalog: files about models that a site publishes beside its pages: summaries, records, badges."""
