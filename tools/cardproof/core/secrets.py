"""Secrets: credentials in links are found, and masked in everything that is printed, written or kept.

A card is public, so a link with a password or token publishes it. A report must not spread it further.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

MASK = "***"

_USER = re.compile(r"(:/{1,3})([^\s/?#<>\"`|\\\[\]]*)@|(?<!:)(//)([^\s/?#<>\"`|\\\[\]@:]*:[^\s/?#<>\"`|\\\[\]]*)@")
"""User and password before a host: ``://user:password@``, also with slashes too few or many, or without a scheme."""
_PARAMETER = re.compile(
    r"([?&;#](?:amp;)?([\w.-]{0,40}?(?:token|secret|passwd|password|signature|credential|api[_-]?key|jwt)|sig|pwd|auth)=)"
    r"([^\s&;#<>\"'`|\\(){}\[\]]+)",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{20}|github_pat_\w{20}|hf_[A-Za-z0-9]{20}|glpat-[\w-]{20}|"
    r"AKIA[0-9A-Z]{16}|AIza[\w-]{35}|xox[abprs]-[\w-]{10}|npm_[A-Za-z0-9]{30}|pypi-[\w-]{30})[\w-]*"
)
"""Tokens of services that are recognised by their first letters."""

PUBLIC_USERS = frozenset({"git", "hg", "svn", "anonymous"})
"""User names that everyone uses, without a password."""
_SECRET = re.compile(
    r"(?:access_|private_|auth_|)token|api[_-]?key|password|passwd|(?:client_)?secret|jwt|sig|(?:x-(?:amz|goog)-)?signature|"
    r"x-amz-security-token"
)
"""Parameters that hold a secret; others with such words in their names, such as ``page_token``, are only masked."""
_PLACEHOLDER = re.compile(
    r"\W*|[*x.…_-]+|\W*[A-Z][A-Z_-]*\W*|[<$%{(\[].*|(?i:(?:your|my|the|some|insert|example|replace)[\W_a-z]*|.*(?:example|x{4}).*|"
    r"(?:user(?:name)?|pass|password|passwd|pwd?|secret|(?:access_?)?token|(?:api_?)?key|test|foo|bar|demo|guest|public|"
    r"anonymous|changeme|abc(?:def)?)\d{0,6}|123\d*)"
)
"""Placeholders for secrets, and secrets that everyone may use."""
_BADGE = re.compile(r"badge|\.svg\b|\.png\b|codecov\.io|firebasestorage|shields\.io", re.IGNORECASE)
"""Pictures that a service serves by a token made to be published."""
FEW_CHARACTERS = 8
"""Different characters below which a token is an example, such as ``hf_xxxxxxxx``."""


class Secret(Struct, frozen=True):
    """What a link publishes."""

    what: str
    certain: bool
    """It is a token of a known form; others may be meant to be public."""


def masked(text: str) -> str:
    """Return a text with the credentials in its links, and tokens of known forms, replaced by three stars."""
    if "@" in text:
        text = _USER.sub(_mask_user, text)
    if "=" in text:
        text = _PARAMETER.sub(rf"\g<1>{MASK}", text)
    if any(start in text for start in ("_", "AKIA", "AIza", "-")):
        text = _TOKEN.sub(MASK, text)
    return text


def mask_all(value: Any) -> Any:
    """Return a value of plain data with each text in it masked; keys stay."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: mask_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(mask_all(item) for item in value)
    return value


def secret_of(address: str) -> Secret | None:
    """Return what an address publishes: a token or a password; None for placeholders and what is meant to be public."""
    token = _TOKEN.search(address)
    if token and len(set(token.group()[4:])) >= FEW_CHARACTERS:
        return Secret("an access token", certain=True)
    user = _USER.match(address, max(address.find(":/"), 0))
    if user:
        name, separator, password = (user[2] or user[4] or "").partition(":")
        if separator and password != name and not _PLACEHOLDER.fullmatch(password):
            return Secret("a password", certain=False)
    if not _BADGE.search(address):
        for match in _PARAMETER.finditer(address):
            name, value = match[2].lower(), match[3]
            if _SECRET.fullmatch(name) and len(value) >= 8 and not _PLACEHOLDER.fullmatch(value):
                return Secret(f"a secret in '{match[2]}='", certain=False)
    return None


def _mask_user(match: re.Match[str]) -> str:
    start, user = match[1] or match[3], match[2] if match[1] else match[4]
    if match[1] and user in PUBLIC_USERS:
        return match.group()
    if match[1] and len(match[1]) < 3 and ":" not in user:
        return match.group()  # a path such as C:/name@2x.png
    return f"{start}{MASK}@"
