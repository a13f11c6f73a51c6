"""File size: the size of the published weights file.

## What it does

If the file is on this machine (a path next to the card, or its name in the folder of `--weights`), its size is
compared with the claim at the precision written. A rendered page uses only files next to the card, because it must
not depend on the machine. Without the file the claim is unchecked, and the reason names the size of the network's
state dict.

A size that no file of this network can have is a warning even then: less than a fifth of the state dict, or more than
five times as much. Weights stored in 16 bits, and files that also hold the state of an optimiser or averaged weights,
are between these limits.

## Why

A size that fits no precision of the network's weights is a sign of another network.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Metadata:
    File Size: 4.7 MB
-->
```

```console
$ cardproof audit card.md --zoo torchvision
card.md:8:16: warning [file-size] File Size of resnet18 says 4.7 MB; the network's state dict has
    46,796,608 bytes, and no file of it is that small
    is this the size of another model's file?
```

## Fix

If the file is on this machine, `--fix` writes its size at the claim's precision. By hand:

```diff
-    File Size: 4.7 MB
+    File Size: 46.8 MB
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-    File Size: 4.7 MB
+    File Size: 4.7 MB  # cardproof: ignore[file-size] quantised and compressed
```

## Settings

`zoo`, `weights`, `tolerances`.
"""

from __future__ import annotations

from collections.abc import Iterator

from cardproof.core.types import Claim, Finding, Judgement, shorten
from cardproof.judge.checks import Check, Context
from cardproof.judge.checks._counts import compare
from cardproof.judge.checks._network import mismatch_reason

FEWEST, MOST = 0.2, 5.0
"""Of the state dict's bytes: 8-bit weights take a quarter, weights with two moments and an average take four times."""


def judge(claim: Claim, context: Context) -> Judgement:
    """Compare a stated size with the file, or say why it was not checked."""
    file = context.weights
    if file is None:
        reason = "needs the file of weights (--weights)"
        if context.built and not mismatch_reason(context):
            reason += f"; the network's state dict has {context.built.state_dict_bytes:,} bytes"
        return Judgement(claim, "unchecked", unit="bytes", reason=reason)
    method = f"size of {file.name}"
    if claim.number is None:
        reason = claim.unread or f"'{shorten(claim.stated)}' is not a number of bytes"
        return Judgement(claim, "unchecked", file.size, "bytes", method=method, reason=reason)
    explanation = f"{file.name} has {file.size:,} bytes."
    return compare(claim, claim.number, file.size, "bytes", method, context, explanation, ("file-size",))


def check_model(context: Context) -> Iterator[Finding]:
    """Report a size that no file of the network's tensors can have."""
    if context.weights or not context.built or not context.built.state_dict_bytes or mismatch_reason(context):
        return
    for claim, stated in context.numbers("file size"):
        share = float(stated.value) / context.built.state_dict_bytes
        size = "small" if share < 1 else "large"
        if not FEWEST <= share <= MOST:
            message = (
                f"{claim.field} of {context.model.name} says {claim.stated}; the network's state dict has "
                f"{context.built.state_dict_bytes:,} bytes, and no file of it is that {size}"
            )
            yield Finding(claim.place, "file-size", "warning", message, "is this the size of another model's file?")


CHECK = Check("file-size", ("file size",), judge, check_model=check_model)
