"""File Size: the bytes of the published weights file.

**What it does.** The size of a file is known once the file is here; until then the claim is unchecked, and the reason
names the bytes of the network's state dict in its own types. A published file holds those and a few hundred bytes a
tensor, or half of them where the weights are stored in 16 bits.

**Why.** A size that fits no precision of the network's state dict is a sign of another network or of optimiser state
left in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cardproof.checks import Check, Context
from cardproof.fields import FILE_SIZE
from cardproof.words import Judgement

if TYPE_CHECKING:
    from cardproof.words import Claim


def judge(claim: Claim, context: Context) -> Judgement:
    """Say why a file size was not checked."""
    reason = "the weights file is not here"
    if context.counts:
        reason += f"; the network's state dict has {context.counts.state_dict_bytes:,} bytes"
    return Judgement(claim, "unchecked", unit="bytes", reason=reason)


CHECK = Check("file-size", FILE_SIZE, judge, page=__doc__)
