"""Parameters: the number of weights and biases of the network.

## What it does

Builds the network with its default head on torch's meta device and sums the sizes of its parameters. A parameter that
two layers share counts once. Buffers (running statistics, step counters) are not parameters. The network need not
run.

Values are compared at the precision written: `24670000` and `24.67M` both have four digits. A value whose last digit
leaves more than ±5 % open (`20000000`), or ±10 % in a unit (`2M`), is never confirmed: it says too little to be
checked. A value that is right for
the merged network, as RepVGG is used for inference, is confirmed, and the method says so.

**Conventions.** Keras counts running means and variances as parameters. Such a number with three digits or more is
confirmed by that convention, and one note explains the column; `conventions: strict` refutes it. A number that was
cut off instead of rounded (119.6 for 119,653,468) is confirmed at three digits or more; with fewer it is unchecked,
with a warning.

**Explanations.** For a refuted value, the check searches for what gives it: buffers counted, a head with another
number of classes, the head left out, a product of floats cut off instead of rounded, FLOPs and parameters swapped,
another model's value. A moved decimal point is a hint, which proves nothing.

## Why

Readers choose models by this number, and it is the easiest one to get right.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Metadata:
    Parameters: 11699132
-->
```

```console
$ cardproof audit card.md --zoo torchvision
card.md:8:17: error [parameters] [*] Parameters of resnet18: card says 11699132, network has
    11,689,512 (−0.1 %)
    Exactly the parameters, with buffers counted. 11,699,132 = 11,689,512 parameters + 9,620 buffer
    values (running statistics and step counters).
```

## Fix

Writes the measured value with as many significant digits as the claim has, three at least.

```diff title="cardproof audit card.md --zoo torchvision --fix"
-    Parameters: 11699132
+    Parameters: 11689512
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-    Parameters: 11699132
+    Parameters: 11699132  # cardproof: ignore[parameters] buffers are meant too
```

## Settings

`zoo`, `names`, `conventions`, `tolerances`.
"""

from __future__ import annotations

from collections.abc import Iterator

from cardproof.core.types import Claim, Finding, Judgement
from cardproof.judge.checks import Check, Context
from cardproof.judge.checks._counts import found_count, judge_count, tolerance_of


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a claim of a parameter count."""
    return judge_count(claim, context, "parameters", "parameters", "parameters summed on the meta device")


def check_model(context: Context) -> Iterator[Finding]:
    """Report a count one below the measured one that a tolerance accepts: a float that was cut off."""
    found = found_count(context, "parameters")
    for claim, stated in context.numbers("parameters"):
        is_one_below = found is not None and stated.value == found - 1
        if is_one_below and tolerance_of(claim, context).kind not in ("written", "exact"):
            message = f"{claim.field} says {claim.stated}, one below the measured {found:,}"
            hint = "int(x * 1e6) cuts off a float that lies one below the intended value: round instead"
            yield Finding(claim.place, "parameters", "warning", message, hint)


CHECK = Check("parameters", ("parameters",), judge, check_model=check_model)
