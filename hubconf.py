"""The networks for ``torch.hub.load(FOLDER, NAME, source="local", pretrained=True)``: one function for each name."""

from functools import partial as _partial
from functools import update_wrapper as _wrapper

import res2next as _res2next

dependencies = ["torch"]

for _name in _res2next.list_models():
    globals()[_name] = _wrapper(_partial(_res2next.create_model, _name), _res2next.create_model)
