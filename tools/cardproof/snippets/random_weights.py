"""Set-up that lets a page run without its weights: loaders of pretrained weights load nothing.

Its code runs at the start of a page's process, before the page's own, where the site's policy is ``random`` and the
weights are not at hand. The networks then have the random weights that they were built with.
"""

from __future__ import annotations

import re

ASKS = re.compile(r"pretrained\s*=\s*True|weights\s*=(?!=|\s*None\b)|load_state_dict_from_url|from_pretrained\(")
"""What code that loads published weights looks like."""

SETUP = '''
def _cardproof_random_weights():
    import contextlib

    import torch

    class Nothing(dict):
        """Stands for a state dict that was not loaded."""

    load = torch.nn.Module.load_state_dict

    def load_state_dict(self, state_dict, *args, **kwargs):
        if isinstance(state_dict, Nothing):
            return torch.nn.modules.module._IncompatibleKeys([], [])
        return load(self, state_dict, *args, **kwargs)

    torch.nn.Module.load_state_dict = load_state_dict
    torch.hub.load_state_dict_from_url = lambda *args, **kwargs: Nothing()
    with contextlib.suppress(ImportError):
        from torchvision.models import _api

        _api.load_state_dict_from_url = torch.hub.load_state_dict_from_url
        _api.WeightsEnum.get_state_dict = lambda self, *args, **kwargs: Nothing()
    with contextlib.suppress(ImportError):
        from timm.models import _builder

        _builder.load_pretrained = lambda *args, **kwargs: None


_cardproof_random_weights()
del _cardproof_random_weights
'''
"""Runs in the page's process."""
