"""Subject: what a table is about, and whether its rows are the zoo's networks.

## What it does

Detectors are named after their backbones, and networks for CIFAR after those for ImageNet. Before the rows of a table
are compared with the zoo's networks of the same names, its words are read: the heads of its columns, the text above
it, and its headings.

- `another-task`: columns such as mAP, AP, mIoU, PQ, OKS or Lr schd, or the words, name another task than image
  classification. All values of the table are unchecked; one note for each table.
- `another-data-set`: the nearest words name a data set, and the network's head has another number of classes. Values
  that hold for the zoo's network, with the head of that data set or at another size, are confirmed, and say so;
  others are unchecked. One warning for each table with such values.
- `other-networks`: in most rows of a table (in most models of an index, if it has three or more) no count holds and
  none is explained: the table is about other networks. All its wrong counts are unchecked; one warning. Single counts
  with six or more exact digits that nothing explains are unchecked too: a program counted them on another
  implementation of the network.
- `another-way`: most of three or more values of a column are wrong and not explained, while the rows are the zoo's
  networks: the column was counted in an unknown way. Its values are unchecked; one warning.

If most rows hold, a wrong value is refuted.

## Why

A false alarm costs the trust in all other findings, and its fix damages a correct table.

## Example

```markdown title="card.md"
# Detection

| Model | box AP | Params |
| :--- | ---: | ---: |
| resnet50 | 38.2 | 44M |
```

```console
$ cardproof audit card.md --zoo torchvision
card.md:3:3: note [another-task] this table is about detection (its column 'box AP'): its rows are
    more than the zoo's networks
    its values are unchecked; rows with a name of the zoo: resnet50
```

## Fix

Nothing needs a fix: the values stay unchecked.

## Ignore

A note does not change the exit status. A warning is ignored by a comment in the line above the table's head.

## Settings

`zoo`, `names`.
"""

from __future__ import annotations

from cardproof.judge.checks import Check

CHECK = Check("subject", findings=("another-task", "another-data-set", "other-networks", "another-way"))
