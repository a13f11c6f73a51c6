"""Functions that templates call: tables of models and the report of an audit."""
