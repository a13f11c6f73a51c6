"""Code: the source file and line that a card links, against the network that was built.

**What it does.** If a network comes from a zoo of the user's own, its sources are known. A link to a file that is
none of them is reported (`code-file`). If the linked file is on this machine, below the card's folder or, for a link
to a branch, in the git working tree that the card lies in, its line must lie inside the class of the network or the
function that builds the model (`code-line`).

**Why.** Files are renamed and lines move; the link stays and shows a reader other code.

**Not judged** for `timm` and `torchvision`: their cards link one version and the installed package is another.

**Example.** `Code: https://github.com/me/nets/blob/main/nets/old.py#L7` gives `the link names old.py; tiny is Tiny of
toys.py`.

**Fix.** None. **Settings.** `zoo`.
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
