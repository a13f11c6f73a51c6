"""The commands of ``python -m res2next``, one module each."""
