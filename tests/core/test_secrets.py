"""Credentials in links are masked wherever a text of a card goes, and a secret is told from a placeholder."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardproof.build import audit
from cardproof.core.secrets import MASK, mask_all, masked, secret_of
from cardproof.core.settings import Settings
from cardproof.core.types import Finding, Place
from cardproof.report.export.formats import FORMATS as EXPORTS
from cardproof.report.export.formats import export
from cardproof.report.formats import FORMATS, texts_of

TOKEN = "ghp_aB3dEfGhIjKlMnOpQrStUvWxYz0123"
PUBLISHED = [
    "https://bot:s3cr3tpw@host/x",
    f"https://{TOKEN}@github.com/x",
    f"https://x-access-token:{TOKEN}@github.com/x",
    "https://:pw9x8q@host/",
    "https://a:b@c:d9@host/x",
    "https://host/x?token=7dk2f1a9c3",
    "https://host/f?alt=media&amp;access_token=a8d7f6a8d7f",
    "https://bucket.s3.amazonaws.com/w.pth?X-Amz-Credential=AKIA1234567890ABCDEF&X-Amz-Signature=8f3a1c9d2e",
    "https://host/x#private_token=8a7df8a7sd",
]
NOT_SECRET = [
    "https://git@github.com/a/b",
    "https://medium.com/@name/x",
    "https://host:8080/x?page=2",
    "https://host/?q=token",
    "https://user:password@host/",
    "https://USER:TOKEN@host/",
    "https://<user>:<token>@host/",
    "https://demo:demo@host/",
    "https://host/?api_key=YOUR_API_KEY",
    "https://host/?token=your-token-here",
    "https://codecov.io/gh/a/b/graph/badge.svg?token=ABCDEF1234",
    "https://host/hf_xxxxxxxxxxxxxxxxxxxxxxxx",
    "https://host/?page_token=abcdefghij",
]


@pytest.mark.parametrize("address", PUBLISHED)
@pytest.mark.parametrize("around", ["{}", "see ({}).", "git+{}", '"{}"'])
def test_secrets_are_masked_and_known_as_such(address, around):
    assert secret_of(address)
    shown = masked(around.format(address))
    assert MASK in shown
    for secret in (
        "s3cr3tpw",
        TOKEN,
        "pw9x8q",
        "d9@",
        "7dk2f1a9c3",
        "a8d7f6a8d7f",
        "8f3a1c",
        "AKIA1234",
        "8a7df8a7sd",
    ):
        assert secret not in shown
    assert masked(shown) == shown


@pytest.mark.parametrize("address", NOT_SECRET)
def test_placeholders_and_what_is_public_are_no_secrets(address):
    assert secret_of(address) is None


@pytest.mark.parametrize("text", ["https://git@host/a", "https://medium.com/@name", "a@b.org", "C:/a@2x.png", "a=b"])
def test_what_holds_no_credentials_stays_as_it_is(text):
    assert masked(text) == text


def test_the_password_of_an_address_without_two_slashes_is_masked():
    assert masked("http:/bot:pw1@host and //bot:pw1@host") == f"http:/{MASK}@host and //{MASK}@host"


@given(st.text(), st.text(alphabet="abc123$!,;%&=._-~'()*+", min_size=1))
def test_no_password_survives_in_any_text(before, password):
    assert f":{password}@" not in masked(f"{before} https://bot:{password}@host/")


@pytest.mark.parametrize(
    "text", ["://", "//a:b", "?token", ":", "a@", "hf_", "&", "?a-", "//::", "github_pat_", "?token=a&"]
)
@pytest.mark.attack("card", "a megabyte of text that is almost a link with a password", "masked in linear time")
def test_no_text_takes_long(text):
    started = time.monotonic()
    masked(text * (1_000_000 // len(text)))
    assert time.monotonic() - started < 5


def test_a_finding_masks_what_it_says_and_keeps_its_fix():
    finding = Finding(Place("card.md", 1, 1), "x", "error", f"see {PUBLISHED[0]}", f"write {PUBLISHED[0]}")
    assert (finding.message, finding.hint) == ("see https://***@host/x", "write https://***@host/x")


def test_keys_of_data_stay():
    assert mask_all({"a=b": ["https://bot:pw1@host", 3]}) == {"a=b": ["https://***@host", 3]}


CARD = f"""# Net

[a](https://bot:s3cr3tpw@host/x) `https://bot:s3cr3tpw@host/code` https://user:password@host/
[b](https://host//a?token=7dk2f1a9c3)

```sh
pip install git+https://{TOKEN}@github.com/a/b
```

<!--
Type: model-index
Models:
- Name: net
  Weights: https://bot:s3cr3tpw@host/net.pth
  Paper:
    Title: A paper
    URL: https://bot:s3cr3tpw@host/paper
  Metadata:
    Training Data: https://bot:s3cr3tpw@host/data
-->
"""


@pytest.mark.attack("card", "links hold a password or an access token", "reported at each place, masked in all reports")
def test_links_with_credentials_are_reported_where_they_stand_and_published_nowhere(write):
    card = write("card.md", CARD)
    run = audit([card], Settings())
    found = [(f.place.line, f.place.column, f.severity) for f in run.findings if f.check == "credentials-in-link"]
    assert found == [
        (3, 5, "warning"),
        (4, 5, "warning"),
        (7, 17, "error"),
        (14, 12, "warning"),
        (17, 10, "warning"),
        (19, 20, "warning"),
    ]
    assert run.audit
    stated = {claim.stated for card in run.audit.reading.cards for of_model in card.claims_of for claim in of_model}
    assert not any("s3cr3t" in text for text in stated)
    texts = {**texts_of(run, FORMATS[1:])}
    for kind in ("mlbom", "hub", "model-index", "json"):
        assert kind in EXPORTS
        texts |= {f"{kind}:{name}": text for name, text in export(kind, run.audit, Settings(), ()).items()}
    for name, text in texts.items():
        for secret in ("s3cr3t", TOKEN, "7dk2f1"):
            assert secret not in text, name
    assert "https://***@host/net.pth" in texts["json"]


def test_a_card_without_credentials_has_no_such_finding(write):
    card = write("card.md", "# Net\n\n" + "\n".join(f"<{address}>" for address in NOT_SECRET) + "\n")
    assert [f for f in audit([card], Settings()).findings if f.check == "credentials-in-link"] == []
