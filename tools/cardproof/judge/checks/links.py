"""Links: addresses that no reader can follow; the network is asked only with `--online`.

## What it does

Looks at every address of a card, in its text and in its model index:

- `closed-site`: the host is on the list of sites that closed, with the date.
- `link-syntax`: no host, an invalid port, a scheme written twice, an address of arXiv or of a DOI with an invalid
  number.
- `doubled-slash`: two slashes in a row in the path, which many servers answer with "not found".
- `missing-file`: `Config`, `README` or `Image` names a file of the repository that is missing although its folder
  exists. The nearest name in that folder is suggested. Weights are not read, and a note says so, if a symbolic link
  leads out of the card's folder.
- `credentials-in-link`: a password before the host, a parameter such as `token=`, a signature of cloud storage, or a
  token of a known form (GitHub, GitLab, Hugging Face, AWS and others). It is an error. Placeholders, user names
  without a password and the public tokens of badges are not reported. Reports and exports show `***` instead.

In code blocks only closed sites and tokens of a known form are reported, because addresses there are often made up.

With `--online`, each address outside of code is requested, with HEAD first and with GET if that fails:

- `dead-link`: the server says that there is no such page (404) or that it is gone (410).
- `unreachable-link`: no answer, a server error, or an invalid certificate.
- `private-link`: the host, or one that it redirects to, has an address of a private network. It is not requested:
  cards are written by others and must not reach machines behind your firewall. `--private-host HOST` allows a host.

Pages that a server shows to people only (401, 403, 429) are counted and not reported. Several hosts are asked at a
time, each with one request after another and a pause. All requests together get five minutes (`--online-budget
SECONDS`), one address 30 seconds; a host that did not answer three times is not asked again. What was not asked is
counted, and is neither good nor bad. An address with credentials is not requested.

Pages that were found are requested again after seven days, others after one day at most; answers are kept in the
user's cache folder. Without a network the report says that links were not checked.

## Why

Readers follow links to papers and weights first. In one well-kept documentation, 171 links lead to one site that
closed. And everybody who reads a card sees the passwords in it.

## Example

```markdown title="card.md"
# ReLU

An [activation function](https://paperswithcode.com/method/relu).
```

```console
$ cardproof audit card.md
card.md:3:26: warning [closed-site] paperswithcode.com closed on 2025-07-24 (list of 2026-11):
    https://paperswithcode.com/method/relu leads nowhere
```

## Fix

For a link to the paper, `--fix-unsafe` writes the arXiv or DOI address of the card's own citation. Other addresses
are replaced by hand:

```diff
-An [activation function](https://paperswithcode.com/method/relu).
+An [activation function](https://en.wikipedia.org/wiki/Rectified_linear_unit).
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
+<!-- cardproof: ignore[closed-site] kept for the record -->
 An [activation function](https://paperswithcode.com/method/relu).
```

## Settings

None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cardproof.core.secrets import masked, secret_of
from cardproof.core.types import Finding, Fix
from cardproof.core.yaml import Mapping, Scalar
from cardproof.judge.checks import CardContext, Check
from cardproof.plan.local_files import link_of
from cardproof.read.bibtex import ARXIV_NUMBER, address_of, entries_of, normal_title, plain_value
from cardproof.read.markdown import lines_of

CLOSED = {
    "paperswithcode.com": "2025-07-24",
    "plus.google.com": "2019-04-02",
    "gitorious.org": "2015-06-01",
    "bintray.com": "2021-05-01",
}
"""Hosts that closed, subdomains included, with the date."""
AS_OF = "2026-11"
"""When the list was last checked."""

_ADDRESS = re.compile(r"(?i:https?|ftp):/{1,3}[^\s<>\"'`|\\^\[\]]*")
_HOST = re.compile(r"(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?")
_INSIDE_ANOTHER = re.compile(r"/(?:https?|ftp):/{1,2}", re.IGNORECASE)
_DOI_PATH = re.compile(r"10\.\d{4,9}(?:\.\d{1,9})*(?:/|%2[fF])\S")
LONGEST = 2000
"""Characters of an address; longer ones are skipped, as browsers refuse them, too."""


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report the addresses and paths of a card that lead nowhere."""
    for file in context.files.missing:
        hint = f"did you mean {file.near}?" if file.near else None
        message = f"{file.field} names {file.text[:200]}, which is not in {file.folder}"
        yield Finding(file.place, "missing-file", "error", message, hint)
    source = context.card.source
    papers = _paper_links(context)
    for address, start, is_code in addresses(source.text):
        place = source.place(start, start + len(address))
        if (secret := secret_of(address)) and (secret.certain or not is_code):
            message = f"'{masked(address)[:200]}' holds {secret.what}: everyone who reads the card has it"
            hint = "make it invalid where it was issued, and write the address without it"
            yield Finding(place, "credentials-in-link", "error" if secret.certain else "warning", message, hint)
        if not is_code and (trouble := address_fault(address)):
            check, message, hint = trouble
            yield Finding(place, check, "warning", message, hint)
        elif closed := closed_since(address):
            host, since = closed
            message = f"{host} closed on {since} (list of {AS_OF}): {masked(address)[:200]} leads nowhere"
            hint, fix = None, None
            if (title := papers.get((place.line, place.column))) and (found := _cited_address(source.text, title)):
                hint = f"the card's own citation of this paper has {found}"
                fix = Fix(place.line, place.column, place.end_column, found) if place.end_column else None
            yield Finding(place, "closed-site", "warning", message, hint, fix)


def addresses(text: str) -> Iterator[tuple[str, int, bool]]:
    """Yield the addresses of a text with their positions, and whether they are in code, where many are made up."""
    for line in lines_of(text):
        for match in _ADDRESS.finditer(line.text):
            is_code = line.is_code or line.text.count("`", 0, match.start()) % 2 == 1
            yield _without_end_punctuation(match.group()), line.start + match.start(), is_code


def address_fault(address: str) -> tuple[str, str, str] | None:
    """Return check, message and hint for an invalid address; None if it is valid."""
    if len(address) > LONGEST:
        return None
    scheme, _, rest = address.partition(":")
    if not rest.strip("/"):
        return None  # the scheme alone, in a sentence about it
    if not rest.startswith("//") or rest.startswith("///"):
        return "link-syntax", f"'{address}' has no two slashes after {scheme}:", f"write {scheme}://"
    authority, slash, path = rest[2:].partition("/")
    host, _, port = authority.partition("?")[0].partition("#")[0].rpartition("@")[2].partition(":")
    if "{" in address or "}" in address or "$" in authority:
        return None  # a template or a shell variable is filled in by somebody else
    if not host or not _HOST.fullmatch(host) or (port and not port.isdecimal()):
        return "link-syntax", f"'{address}' names no host", "write https://host/path"
    if host.lower() in ("http", "https"):
        return "link-syntax", f"'{address}' has its scheme twice", f"write {rest[2:]}"
    path = re.split(r"[?#]", path, maxsplit=1)[0]
    if named := _missing_identifier(host.lower(), path):
        return "link-syntax", f"'{address}' has no {named}", "look up the paper's own address"
    if slash and "//" in _INSIDE_ANOTHER.sub("/", f"/{path}"):
        right = f"{scheme}://{authority}{re.sub('/{2,}', '/', '/' + path)}"
        return "doubled-slash", f"'{address}' has two slashes in a row in its path", f"write {right}"
    return None


def _missing_identifier(host: str, path: str) -> str | None:
    """Return what an address of arXiv or of a DOI lacks; None if it lacks nothing, or leads elsewhere."""
    if host.removeprefix("www.") == "arxiv.org" and (match := re.fullmatch(r"(?:abs|pdf)/(.{1,60})", path)):
        number = match[1].removesuffix(".pdf").rstrip("/")
        return None if ARXIV_NUMBER.fullmatch(number) else "arXiv number such as 1904.01169"
    if host in ("doi.org", "dx.doi.org", "www.doi.org") and path.strip("/"):
        return None if _DOI_PATH.match(path.strip("/")) else "DOI such as 10.1109/TPAMI.2019.2938758"
    return None


def closed_since(address: str) -> tuple[str, str] | None:
    """Return the closed site of an address, and the date; None if it is open."""
    host = re.split(r"[/?#:]", address.partition("://")[2], maxsplit=1)[0].lower().rstrip(".")
    for closed, since in CLOSED.items():
        if host == closed or host.endswith(f".{closed}"):
            return closed, since
    return None


def _without_end_punctuation(address: str) -> str:
    """Remove punctuation of the sentence or of Markdown from the end of an address."""
    depth = 0
    for index, character in enumerate(address):
        depth += (character == "(") - (character == ")")
        if depth < 0 or (character in "{}" and "{{" not in address and "{%" not in address):
            address = address[:index]
            break
    return address.rstrip(".,;:!?*_")


def _paper_links(context: CardContext) -> dict[tuple[int, int], str]:
    """Return the titles of papers by line and column of their addresses."""
    found = {}
    for model in context.models:
        paper = model.model.fields.get("Paper")
        title = paper.get("Title") if isinstance(paper, Mapping) else None
        if (link := link_of(model.model, "Paper")) and isinstance(title, Scalar):
            place = link.place
            # an address in quotes begins one column later
            found[place.line, place.column + len(link.style)] = title.text if place.file == context.card.file else ""
    return found


def _cited_address(text: str, title: str) -> str | None:
    wanted = normal_title(title)
    for entry in entries_of(text):
        if entry.fields and normal_title(plain_value(entry.fields.get("title", ""))) == wanted:
            return address_of(entry)
    return None


CHECK = Check(
    "links",
    check_card=check_card,
    findings=(
        "closed-site",
        "link-syntax",
        "doubled-slash",
        "missing-file",
        "credentials-in-link",
        "dead-link",
        "unreachable-link",
        "private-link",
    ),
)
