"""Snippets: whether the Python blocks of a page run and print what the page says.

## What it does

Finds the blocks that the finished page shows as code, using the Markdown extensions of the site, and runs them in
page order. Each page has its own process, in an empty folder, without network, with limits on time, memory, files,
output and processes.

The output is compared with what the page states: `# prints: X` and `#> X` exactly, `# prints … like:` and `# e.g.:`
by kind, an `Output:` line with a `text` fence exactly, and `>>>` blocks by the rules of doctest. A block passes only
if it runs to its end, whatever the exit status is.

Reported are blocks that fail, with the last lines of the traceback; text that looks like a fence and is shown as
something else; unknown options; and blocks that are skipped without a reason. The place is the line of the template
or included file that a person edits.

**Options** are classes of the fence (`.skip .gpu .network .expect-error .hide .fresh .output`) or a comment on the
line above (`<!-- snippet: skip reason="…" -->`). Hidden set-up is `<!-- snippet: setup … -->`, or a line that ends in
`# snippet: hide`. The setting `snippets` has values for upper-case placeholders.

**Missing weights.** A block that needs weights that are not on this machine is not run, and the reason names them. A
setting lets it run with random weights: the page says so, and decimals that depend on them are not compared. A block
that needs the network is not run either.

## Why

A snippet is the first thing that a reader tries. One well-kept documentation publishes 64 pages whose snippet ends in
a NameError.

## Example

````markdown title="card.md"
# Count

```python
numbers = [1, 2, 3]
print(sum(numbers))
# prints: 7
```
````

```console
$ cardproof snippets card.md
card.md:6:1: error [snippets] expected "7", got "6"
```

## Fix

Replaces a stated output by the real one, and nothing else.

```diff title="cardproof snippets card.md --update"
-# prints: 7
+# prints: 6
```

## Ignore

The block is not run, and the page says why:

```diff
+<!-- snippet: skip reason="the numbers change every day" -->
 ```python
```

## Settings

`snippets`, `includes`.
"""

from __future__ import annotations

from cardproof.judge.checks import Check

CHECK = Check("snippets", findings=("snippets",))
