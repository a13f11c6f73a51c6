"""Parameters: the values of the network's weights and biases.

**What it does.** Builds the network with its default head on the meta device and sums the sizes of its parameters;
a parameter that two layers share counts once. Buffers (running statistics, step counters) are not parameters. The
network need not run for it. A value that is right of its merged form, as networks like RepVGG are deployed, is
confirmed, and the method says so.

**Why.** Readers choose models by this number, and it is the one that is easiest to get right.

**Compared** at the precision written: `24670000` and `24.67M` both have four digits.

**Keras** counts running means and variances as parameters: such a number, with three digits or more, is confirmed by
its convention, and one note says so for a column; `conventions: strict` refutes it. A number that was cut off instead
of rounded (119.6 for 119,653,468) is confirmed at three digits or more; with fewer it is unchecked, with a warning.

**Refuted claims are explained**: buffers counted, a head with another number of classes, the head left out, a product
of floats cut off instead of rounded, FLOPs and parameters swapped, another model's value. A decimal point that moved is
a hint, which proves nothing.

**Example.** `Parameters: 24735997` gives `Parameters of res2next50: card says 24735997, network has 24,671,464
(−0.3 %)`.

**Fix.** Writes the measured value at the claim's precision. **Settings.** `zoo`, `names`,
`conventions`, `tolerances`.
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
