"""Code: the source file and line that a card links, compared with the network that was built.

## What it does

The source files of a network are known if it comes from your own zoo.

- `code-file`: the card links a file that is not one of them.
- `code-line`: the linked line is outside the class of the network and outside the function that builds the model.
  This is checked if the linked file is on this machine: below the card's folder or, for a link to a branch, in the
  Git working tree of the card.

Cards of `timm` and `torchvision` are **not checked**: they link one version, and the installed package is another.

## Why

Files are renamed and lines move. The link stays, and shows the reader other code.

## Example

```python title="nets.py"
from torch import nn


class Tiny(nn.Sequential):
    def __init__(self, name: str) -> None:
        super().__init__(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
```

```markdown title="card.md"
# Tiny

<!--
Type: model-index
Models:
- Name: tiny
  Metadata:
    Parameters: 8
  Code: https://github.com/me/nets/blob/main/old.py#L4
-->
```

```console
$ cardproof audit card.md --zoo nets.py:Tiny
card.md:9:9: warning [code-file] the link names old.py; tiny is Tiny of cardproof_zoo_nets.py
    link the file that defines it: cardproof_zoo_nets.py
```

## Fix

No command fixes it. By hand:

```diff
-  Code: https://github.com/me/nets/blob/main/old.py#L4
+  Code: https://github.com/me/nets/blob/main/nets.py#L4
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-  Code: https://github.com/me/nets/blob/main/old.py#L4
+  # cardproof: ignore[code-file] the paper refers to this version
+  Code: https://github.com/me/nets/blob/main/old.py#L4
```

## Settings

`zoo`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from cardproof.core.types import Finding
from cardproof.judge.checks import Check, Context
from cardproof.plan.local_files import link_of


def check_model(context: Context) -> Iterator[Finding]:
    """Report a link to a file or line that does not define the model."""
    link, evidence = link_of(context.model, "Code"), context.evidence
    if link is None or evidence is None or evidence.built is None:
        return
    module, _, name = evidence.built.source.partition(":")
    sources = [file for file, _ in evidence.sources if file.endswith(".py")]
    linked = PurePosixPath(re.split(r"[?#]", link.text, maxsplit=1)[0]).name
    own = f"{module.rpartition('.')[2]}.py"
    names = {PurePosixPath(file).name for file in sources} | {own}
    if sources and linked.endswith(".py") and linked not in names:
        message = f"the link names {linked}; {context.model.name} is {name} of {own}"
        yield Finding(link.place, "code-file", "warning", message, f"link the file that defines it: {own}")
        return
    code = context.code
    if code is None or code.line is None:
        return
    wanted = [one for one in (name, context.model.name) if one in code.defines]
    if wanted and code.inside not in wanted:
        where = f"in {code.inside}" if code.inside else "in no class or function"
        message = f"line {code.line} of {code.name} lies {where}, not in {' or '.join(wanted)}"
        yield Finding(link.place, "code-line", "warning", message, "link the line where it is defined")


CHECK = Check("code", check_model=check_model, findings=("code-file", "code-line"))
