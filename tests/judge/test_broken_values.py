"""Broken values of every kind, in every field, setting and option: findings or one line, and never an exception."""

from __future__ import annotations

import sys

import pytest

from cardproof.build import audit
from cardproof.commands.audit import audit_command
from cardproof.commands.cli import main
from cardproof.core.errors import InputError
from cardproof.core.field_names import FIELDS
from cardproof.core.measurements import Preprocessing, Recipe
from cardproof.core.settings import SETTINGS, Settings, load_settings
from cardproof.read.hub_header import LISTS, TEXTS
from cardproof.report.formats import FORMATS, texts_of

NINES, LONG = "9" * 5000, "x" * 30_000
VALUES = {
    "nothing": "",
    "null": "null",
    "true": "true",
    "no": "no",
    "an endless integer": NINES,
    "an endless negative integer": f"-{NINES}",
    "an endless hexadecimal": f"0x{'f' * 6000}",
    "half a hexadecimal": "0x_",
    "underscores": "0x1__2",
    "a wrong tag": "!!int 0xzz",
    "a wrong boolean": "!!bool maybe",
    "a wrong float": "!!float abc",
    "binary": "!!binary aGVsbG8=",
    "a tag of Python": "!!python/object/apply:os.system [ls]",
    "nan": ".nan",
    "infinity": "-.inf",
    "a huge exponent": "1e999999999",
    "a tiny exponent": "1e-999999999",
    "1e-30": "1e-30",
    "thirty decimals": f"0.{'1' * 30}",
    "a fraction": "1/0",
    "a date": "2020-01-01",
    "a time": "2020-01-01 00:00:00",
    "base 60": "1:30:00",
    "a list": "[1, [2, [3, {a: [b]}]]]",
    "an empty list": "[]",
    "a mapping": "{a: {b: {c: d}}}",
    "a list as key": "{[a, b]: c, {d: e}: f}",
    "a list of everything": "[null, true, 1, .nan, [], {}, 2020-01-01, '']",
    "a long text": LONG,
    "many digits": f"'1{' ' * 500}x'",
    "quotes": "'\"'",
    "zero byte": '"a\\0b"',
    "escapes": '"\\e[31m\\r\\n::stop-commands::\\u202e"',
    "a wrong surrogate": '"\\ud800"',
    "blanks": "'   '",
    "dots": "'../../../../etc/passwd'",
    "wildcards": "'**/*'",
    "a name of 300 letters": "n" * 300,
    "an address": "https://user:token@example.org/%00?q#L99999999999999999999",
    "a formula": "$$x$$ {{ 7*7 }} <script>alert(1)</script> | a | b |",
}
OF_MODELS = (
    *("Name", "In Collection", "Weights", "Code", "Paper", "Config", "README", "Image", "License", "Metadata"),
    *("Results", "Published Elsewhere", "Alias", "Converted From"),
)
COUNTS = {"net": (24_671_464, 4_172_677_120)}
FACTS = {
    "preprocessing": {"net": Preprocessing((3, 224, 224), 0.875, "bicubic", (0.5,) * 3, (0.5,) * 3)},
    "recipe": {"net": Recipe("r", "s", tuple((field, NINES) for field in ("lr", "epochs", "momentum")), ("a",))},
    "evaluations": {},
}


def _cards(value: str) -> dict[str, str]:
    """Return cards that state a value in every field that the reader knows."""
    metadata = "".join(f"    {name}: {value}\n" for _, names in FIELDS.values() for name in names)
    fields = "".join(f"- Name: net\n  {field}: {value}\n" for field in OF_MODELS)
    parts = ("Task", "Dataset", "Metrics")
    results = "".join(f"- Name: net\n  Results:\n  - {part}: {value}\n" for part in parts)
    results += f"- Name: net\n  Results:\n  - Metrics: {{Top 1 Accuracy: {value}, Top 5 Accuracy: {value}}}\n"
    keys = (*LISTS, *TEXTS, "model-index")
    header = "".join(f"{key}: {value}\n" for key in keys)
    metric = f"- {{task: {{type: {value}}}, dataset: {{name: {value}, type: {value}}}, metrics: [{{type: {value}}}]}}"
    cell = value[:3000].replace("\n", " ").replace("|", "\\|")
    heads = ("Model", "Params (M)", "FLOPs (G)", "Image Size", "Top-1", "Top-5", "Weights")
    row = f"| net | {' | '.join([cell] * (len(heads) - 1))} |\n| {' | '.join([cell] * len(heads))} |\n"
    return {
        "metadata.yml": f"Models:\n- Name: net\n  Metadata:\n{metadata}",
        "fields.yml": f"Models:\n{fields}{results}",
        "root.yml": f"Models: {value}\nCollections: {value}\nLibrary: {value}\n",
        "results.md": f"---\nmodel-index:\n- name: net\n  results:\n  {metric}\n---\n",
        "README.md": f"---\n{header}---\n\n# net\n\n$$ `{cell}\n\n```bibtex\n@article{{a, title={{{cell}}}}}\n```\n",
        "table.md": f"# {cell}\n\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}\n{row}",
        "heads.md": f"| {cell} | Params ({cell}) | Top-1 ({cell}) |\n| --- | --- | --- |\n| net | 1 | 2 |\n",
        "table.csv": f"model,params,top1\nnet,{value},{value}\n{value},1M,70.1\n",
    }


@pytest.mark.attack("card", "values of every kind in every field", "findings; never a traceback")
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_no_value_of_a_card_is_an_internal_error(write, judge_card, value):
    cards = _cards(value)
    run = audit([write(name, text) for name, text in cards.items()], Settings())
    assert [finding for finding in run.findings if finding.internal] == []
    assert run.exit in (0, 1)
    for text in texts_of(run, FORMATS[1:]).values():
        text.encode("utf-8", "backslashreplace")
    for name, text in cards.items() if "*" not in value else ():  # they would import each other
        verdicts = judge_card(text, COUNTS, name=name, **FACTS)
        assert [one for of_card in verdicts.findings.values() for one in of_card if one.internal] == []


@pytest.mark.parametrize("name", SETTINGS)
def test_a_broken_setting_is_an_error_with_its_place_or_is_read(write, name):
    for value in VALUES.values():
        if "\n" in value:
            continue
        inner = f"{{run: {value}, devices: {value}, models: {value}}}" if name == "snippets" else value
        for text in (value, inner, f"{{FLOPs: {value}}}", f"{{ImageNet: {value}}}"):
            config = write("mkdocs.yml", f"site_name: a\nplugins:\n- cardproof:\n    {name}: {text}\n")
            try:
                load_settings(config)
            except InputError as error:
                assert "mkdocs.yml:" in str(error)


@pytest.mark.parametrize("option", [option for option in audit_command.params if option.opts[0].startswith("--")])
def test_a_broken_option_is_one_line(write, monkeypatch, capsys, option):
    write("a.md", "# A card without a model\n")
    texts = (
        "",
        "=",
        "=x",
        "FLOPs=",
        f"FLOPs={NINES}%",
        "flops=50 digits",
        "ImageNet=",
        LONG,
        "n" * 300,
        "-1",
    )
    for text in texts if not option.is_flag else ("",):
        given = [option.opts[0]] if option.is_flag else [option.opts[0], text]
        if option.name in ("fix", "fix_unsafe", "from_metadata", "zoo", "engine", "online", "private_hosts"):
            continue  # they write, or ask others
        monkeypatch.setattr(sys, "argv", ["cardproof", "audit", "a.md", *given])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err
        assert ended.value.code in (0, 1, 2)
        assert "internal error" not in said
        assert "Traceback" not in said
