"""Functions for templates: tables of models and the report of an audit."""
