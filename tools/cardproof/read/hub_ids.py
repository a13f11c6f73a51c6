"""What the Hugging Face Hub accepts in the header of a card: its identifiers of licences, tasks and relations."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache

LICENCES = {
    "apache-2.0": "Apache license 2.0",
    "mit": "MIT",
    "openrail": "OpenRAIL license family",
    "bigscience-openrail-m": "BigScience OpenRAIL-M",
    "creativeml-openrail-m": "CreativeML OpenRAIL-M",
    "bigscience-bloom-rail-1.0": "BigScience BLOOM RAIL 1.0",
    "bigcode-openrail-m": "BigCode Open RAIL-M v1",
    "afl-3.0": "Academic Free License v3.0",
    "artistic-2.0": "Artistic license 2.0",
    "bsl-1.0": "Boost Software License 1.0",
    "bsd": "BSD license family",
    "bsd-2-clause": 'BSD 2-clause "Simplified" license',
    "bsd-3-clause": 'BSD 3-clause "New" or "Revised" license',
    "bsd-3-clause-clear": "BSD 3-clause Clear license",
    "c-uda": "Computational Use of Data Agreement",
    "cc": "Creative Commons license family",
    "cc0-1.0": "Creative Commons Zero v1.0 Universal",
    "cc-by-2.0": "Creative Commons Attribution 2.0",
    "cc-by-2.5": "Creative Commons Attribution 2.5",
    "cc-by-3.0": "Creative Commons Attribution 3.0",
    "cc-by-4.0": "Creative Commons Attribution 4.0",
    "cc-by-sa-3.0": "Creative Commons Attribution Share Alike 3.0",
    "cc-by-sa-4.0": "Creative Commons Attribution Share Alike 4.0",
    "cc-by-nc-2.0": "Creative Commons Attribution Non Commercial 2.0",
    "cc-by-nc-3.0": "Creative Commons Attribution Non Commercial 3.0",
    "cc-by-nc-4.0": "Creative Commons Attribution Non Commercial 4.0",
    "cc-by-nd-4.0": "Creative Commons Attribution No Derivatives 4.0",
    "cc-by-nc-nd-3.0": "Creative Commons Attribution Non Commercial No Derivatives 3.0",
    "cc-by-nc-nd-4.0": "Creative Commons Attribution Non Commercial No Derivatives 4.0",
    "cc-by-nc-sa-2.0": "Creative Commons Attribution Non Commercial Share Alike 2.0",
    "cc-by-nc-sa-3.0": "Creative Commons Attribution Non Commercial Share Alike 3.0",
    "cc-by-nc-sa-4.0": "Creative Commons Attribution Non Commercial Share Alike 4.0",
    "cdla-sharing-1.0": "Community Data License Agreement – Sharing, Version 1.0",
    "cdla-permissive-1.0": "Community Data License Agreement – Permissive, Version 1.0",
    "cdla-permissive-2.0": "Community Data License Agreement – Permissive, Version 2.0",
    "wtfpl": "Do What The F*ck You Want To Public License",
    "ecl-2.0": "Educational Community License v2.0",
    "epl-1.0": "Eclipse Public License 1.0",
    "epl-2.0": "Eclipse Public License 2.0",
    "etalab-2.0": "Etalab Open License 2.0",
    "eupl-1.1": "European Union Public License 1.1",
    "eupl-1.2": "European Union Public License 1.2",
    "agpl-3.0": "GNU Affero General Public License v3.0",
    "gfdl": "GNU Free Documentation License family",
    "gpl": "GNU General Public License family",
    "gpl-2.0": "GNU General Public License v2.0",
    "gpl-3.0": "GNU General Public License v3.0",
    "lgpl": "GNU Lesser General Public License family",
    "lgpl-2.1": "GNU Lesser General Public License v2.1",
    "lgpl-3.0": "GNU Lesser General Public License v3.0",
    "isc": "ISC",
    "h-research": "H Research License",
    "intel-research": "Intel Research Use License Agreement",
    "lppl-1.3c": "LaTeX Project Public License v1.3c",
    "ms-pl": "Microsoft Public License",
    "apple-ascl": "Apple Sample Code license",
    "apple-amlr": "Apple Model License for Research",
    "mpl-2.0": "Mozilla Public License 2.0",
    "odc-by": "Open Data Commons License Attribution family",
    "odbl": "Open Database License family",
    "openmdw-1.0": "Open Model, Data & Weights License Agreement",
    "openmdw-1.1": "Open Model, Data & Weights License Agreement v1.1",
    "openrail++": "Open Rail++-M License",
    "osl-3.0": "Open Software License 3.0",
    "postgresql": "PostgreSQL License",
    "ofl-1.1": "SIL Open Font License 1.1",
    "ncsa": "University of Illinois/NCSA Open Source License",
    "unlicense": "The Unlicense",
    "zlib": "zLib License",
    "pddl": "Open Data Commons Public Domain Dedication and License",
    "lgpl-lr": "Lesser General Public License For Linguistic Resources",
    "deepfloyd-if-license": "DeepFloyd IF Research License Agreement",
    "fair-noncommercial-research-license": "FAIR Noncommercial Research License",
    "llama2": "Llama 2 Community License Agreement",
    "llama3": "Llama 3 Community License Agreement",
    "llama3.1": "Llama 3.1 Community License Agreement",
    "llama3.2": "Llama 3.2 Community License Agreement",
    "llama3.3": "Llama 3.3 Community License Agreement",
    "llama4": "Llama 4 Community License Agreement",
    "grok2-community": "Grok 2 Community License Agreement",
    "gemma": "Gemma Terms of Use",
    "unknown": "Unknown",
    "other": "Other",
}
"""Identifier -> name, from docs/hub/repositories-licenses.md of github.com/huggingface/hub-docs, commit 242f4a1
(2026-08-22)."""

TASKS = frozenset(
    {
        "text-classification", "token-classification", "table-question-answering", "question-answering",
        "zero-shot-classification", "translation", "summarization", "feature-extraction", "text-generation",
        "fill-mask", "sentence-similarity", "text-to-speech", "text-to-audio", "automatic-speech-recognition",
        "audio-to-audio", "audio-classification", "audio-text-to-text", "voice-activity-detection",
        "depth-estimation", "image-classification", "object-detection", "image-segmentation", "text-to-image",
        "image-to-text", "image-to-image", "image-to-video", "unconditional-image-generation", "video-classification",
        "reinforcement-learning", "robotics", "tabular-classification", "tabular-regression", "tabular-to-text",
        "table-to-text", "multiple-choice", "text-ranking", "text-retrieval", "time-series-forecasting",
        "text-to-video", "image-text-to-text", "image-text-to-image", "image-text-to-video",
        "visual-question-answering", "document-question-answering", "zero-shot-image-classification", "graph-ml",
        "mask-generation", "zero-shot-object-detection", "text-to-3d", "image-to-3d", "image-feature-extraction",
        "video-text-to-text", "keypoint-detection", "visual-document-retrieval", "any-to-any", "video-to-video",
        "other",
    }
)  # fmt: skip
"""Values of ``pipeline_tag`` and of a task's type: PIPELINE_DATA in packages/tasks/src/pipelines.ts of
github.com/huggingface/huggingface.js, commit fe42e68 (2026-08-21)."""

RELATIONS = ("adapter", "finetune", "merge", "quantized")
"""Values of ``base_model_relation``, from docs/hub/model-cards.md of the same commit as the licences."""

_LONG = {
    "creative commons": "cc",
    "gnu affero general public": "agpl",
    "gnu lesser general public": "lgpl",
    "gnu general public": "gpl",
    "mozilla public": "mpl",
    "berkeley software distribution": "bsd",
    "attribution": "by",
    "non commercial": "nc",
    "noncommercial": "nc",
    "share alike": "sa",
    "sharealike": "sa",
    "no derivatives": "nd",
    "noderivatives": "nd",
    "noderivs": "nd",
}
_NO_MATTER = ("license", "licence", "version", "the", "gnu", "software", "foundation", "international", "family")


def licence_id(text: str) -> str | None:
    """Return the Hub's identifier of a licence that is written as an identifier or in words; None if there is none.

    ``Apache 2.0``, ``The Apache License, Version 2.0`` and ``apache-2.0`` are one licence.
    """
    return None if len(text) > 200 else _licences().get(_plain(text))


def near(text: str, words: tuple[str, ...] | frozenset[str]) -> str | None:
    """Return the word that is nearest to a misspelt one; None if none is near."""
    written = re.sub(r"[\s_]+", "-", text[:100].strip().lower())
    found = get_close_matches(written, sorted(words), 1, 0.75)
    return found[0] if found else None


@cache
def _licences() -> dict[str, str]:
    """Return the identifiers by their plain words and by those of their names."""
    found: dict[str, str] = {}
    for identifier, name in LICENCES.items():
        found.setdefault(_plain(identifier), identifier)
        found.setdefault(_plain(name), identifier)
    return found


def _plain(text: str) -> str:
    """Return the words that tell a licence from others: ``Apache License, Version 2.0`` is ``apache 2``."""
    words = " ".join(re.findall(r"[a-z]+|\d+(?:\.\d+)*|\+", re.sub(r"[-_]|v(?=\d)", " ", text.lower())))
    for long, short in _LONG.items():
        words = words.replace(long, short)
    kept = [re.sub(r"(?<!\.0)(?:\.0)++$", "", word) for word in words.split() if word not in _NO_MATTER]
    return " ".join(kept)
