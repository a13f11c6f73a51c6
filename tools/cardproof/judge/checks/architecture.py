"""Architecture: the words of a card's architecture list, looked for in the network that ran.

**What it does.** While the network runs on the meta device, notes which kinds of layers and functions ran, and
compares each word of the list `Architecture` with them: Convolution, Batch Normalization, ReLU, Global Average Pooling,
Max Pooling, Residual Connection, Grouped Convolution and others, in any case and with usual synonyms.

**Why.** Lists are copied from card to card. A word that the network does not know misleads whoever filters by it.

**Refuted** only if the absence is a proof. **Unchecked** for words that a run cannot decide: names of blocks that
only a class could tell, and words that nobody has taught this check. A model's name is never taken for evidence.

**Example.** `Architecture: [Layer Normalization]` gives `Architecture of res2next50: card says Layer Normalization,
found none`.

**Fix.** None: what should stand there instead is not known. **Settings.** `zoo`, `names`.
"""

from __future__ import annotations

from cardproof.core.types import Claim, Judgement
from cardproof.judge.checks import Check, Context
from cardproof.judge.checks._network import unchecked_reason
from cardproof.measure.count.vocabulary import word_presence

METHOD = "looked for among the layers and functions that ran on the meta device"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge one word of an architecture list."""
    if why := unchecked_reason(context):
        return Judgement(claim, "unchecked", reason=why)
    assert context.counts
    answer = word_presence(claim.stated, context.counts.parts)
    if answer == "present":
        return Judgement(claim, "confirmed", "runs", allowed="exact", method=METHOD)
    if answer == "absent":
        explanation = f"No {claim.stated} runs in this network."
        return Judgement(claim, "refuted", "none", "", "exact", "", explanation, METHOD, discrepancies=("absent-part",))
    return Judgement(claim, "unchecked", reason="cannot be seen by running the network")


CHECK = Check("architecture", ("architecture",), judge)
