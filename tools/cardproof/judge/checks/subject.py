"""Subject: what a table is about, and whether its rows are networks of the zoo.

**What it does.** A detector is named by its backbone, and a network for CIFAR like the one for ImageNet. So before the
rows of a table are compared with the zoo's networks of their names, its words are read: its heads, the text above it,
its headings.

- `another-task`: columns such as mAP, AP, mIoU, PQ, OKS or Lr schd, or the words, tell another task than image
  classification. All values of the table are unchecked; one note a table.
- `another-data-set`: the nearest words name a data set, and the network's head has another number of classes. Values
  that hold with the zoo's network, with the head of that data set or at another size are confirmed, and say so; others
  are unchecked. One warning a table that has such values.
- `other-networks`: the rows vote. If in most rows of a table (in most of at least three models of an index) no count
  holds and none is explained, it is about other networks. All its wrong counts are unchecked; one warning. So are
  single counts of a table with all their digits (six or more) that nothing explains: a program counted them, of another
  implementation of the network.
- `another-way`: so do columns. If most of at least three values of a column are off and nothing explains them, while
  the rows are the zoo's networks, the column was counted in a way that is not known: unchecked, one warning.

If most rows hold, a value that does not is refuted.

**Why.** A false alarm costs the trust in all others, and a fix of it damages a correct table.

**Example.** `| Model | box AP | Params |` above `| resnet50 | 38.2 | 44M |` gives `this table is about detection (its
column 'box AP'): its rows are more than the zoo's networks`.

**Fix.** None. **Settings.** `zoo`, `names`.
"""

from __future__ import annotations

from cardproof.judge.checks import Check

CHECK = Check("subject", findings=("another-task", "another-data-set", "other-networks", "another-way"))
