"""Snippets: the Python blocks of a page run, and print what they say.

**What it does.** Finds the blocks that the finished page shows as code, as the site's own Markdown extensions show
them, and runs them in page order, each page in a process of its own: with limits on time, memory, files, output and
processes, without network, in an empty folder. Compares what they print with what they state: `# prints: X` and
`#> X` exactly, `# prints … like:` and `# e.g.:` by kind, an `Output:` line with a `text` fence, and `>>>` blocks by
doctest's rules. Each block must end with a message of its own: without it, it failed, whatever the exit status.

**Why.** A snippet is the first thing that a reader tries. One well-kept documentation publishes 64 pages whose snippet
ends in NameError.

**Reported** at the line of the template or include that a person edits: blocks that fail, with the last lines of the
traceback; text that looks like a fence and is shown as something else; options that mean nothing; blocks that are
skipped without a reason.

**Options** are classes of the fence (`.skip .gpu .network .expect-error .hide .fresh .output`) or a comment on the line
above (`<!-- snippet: skip reason="…" -->`). Hidden set-up is `<!-- snippet: setup … -->`, or a line that ends in
`# snippet: hide`. Upper-case placeholders get their value for the run from the setting `snippets`.

**Weights** that are missing: a block that asks for them is not run, and says which, or runs with random weights if the
setting allows it; the page says so, and decimals that depend on them are not compared. The network likewise.

**Example.** A block `print(x)` in which nothing binds `x` gives `NameError: name 'x' is not defined`.

**Fix.** `cardproof snippets --update` writes what came out where it was stated, and nothing else. **Settings.**
`snippets`, `includes`.
"""

from __future__ import annotations

from cardproof.judge.checks import Check

CHECK = Check("snippets", findings=("snippets",))
