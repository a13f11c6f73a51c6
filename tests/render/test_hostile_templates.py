"""Templates of strangers: whatever they hold, the end is a page or a finding at a line, in little time and memory."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest
from msgspec import Struct
from sites import CARD, ONE_JOB, write_site

from cardproof.build import render
from cardproof.core.settings import load_settings
from cardproof.judge.audit import audit_cards
from cardproof.read import read_cards
from cardproof.render.line_origins import trace
from cardproof.render.output.paths import site_folders
from cardproof.render.pages import Site
from cardproof.render.templates import Templates, TemplatesError

PLENTY = 20.0
"""Seconds within which any template ends; each takes a fraction of one."""


class Card:
    """A card of a site, whose text is rendered with all that its template is given."""

    def __init__(self, folder: Path) -> None:
        settings = load_settings(folder / "mkdocs.yml")
        reading = read_cards([folder / "templates/models/tiny.md"], root=folder)
        site = Site(audit_cards(reading, settings, wanted=()), site_folders(settings), settings, {})
        self.variables = site._variables(reading.cards[0], "tiny")
        self.folder = folder
        self.templates = Templates([folder / "templates"])

    def render(self, text: str) -> str:
        return trace(self.templates, text, "card.md", self.variables)[0]

    def finding(self, text: str):
        began = time.monotonic()
        with pytest.raises(TemplatesError) as caught:
            self.render(text)
        assert time.monotonic() - began < PLENTY
        return caught.value.findings[0]


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    folder = write_site(tmp_path_factory.mktemp("site"))
    templates = folder / "templates"
    (templates / "self.md").write_text("x\n{% include 'self.md' %}")
    (templates / "imports.md").write_text("x\n{% import 'imports.md' as a %}")
    (templates / "extends.md").write_text("x\n{% extends 'extends.md' %}")
    (templates / "broken.md").write_text("fine\n{{ 1 + }}\n")
    (templates / "latin.md").write_bytes(b"\xe9")
    (templates / "yes.md").write_text("yes")
    (folder / "deep.json").write_text("[" * 100_000)
    getattr(os, "mkfifo", Path.mkdir)(folder / "pipe.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield Card(folder)


@pytest.fixture
def little_memory():
    """Leave this process one gigabyte to take, so that a fault here is an error and not the end of the machine."""
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


DOUBLED = "{% set n = namespace(v='x' * 99999) %}{% for i in range(40) %}{% set n.v = HERE %}{% endfor %}"
LARGE = {
    "a width of %": "{{ '%2000000000d' % 1 }}",
    "a precision of %": "{{ '%.2000000000f' % 1.5 }}",
    "a computed width of %": "{{ '%*d' % (2000000000, 1) }}",
    "many widths of %": "{{ ('%9999d' * 5000) % 1 }}",
    "a name in % that is used often": "{{ ('%(a)s' * 1500) % {'a': 'x' * 99999} }}",
    "a name in % without an end": "{{ ('%(' * 4999) % 1 }}",
    "a width of format": "{{ '{:>3000000000}'.format(1) }}",
    "a computed width of format": "{{ '{:{}}'.format(1, 3000000000) }}",
    "a width of format_map": "{{ '{a:3000000000}'.format_map({'a': 1}) }}",
    "an argument of format that is used often": "{{ ('{0}' * 3000).format('x' * 99999) }}",
    "a width of the filter format": "{{ '%2000000000d' | format(1) }}",
    "a width of format in a filter of markup": "{{ ('{:>3000000000}' | safe).format(1) }}",
    "ljust": "{{ 'x'.ljust(3000000000) }}",
    "rjust": "{{ 'x'.rjust(3000000000) }}",
    "the method center": "{{ 'x'.center(3000000000) }}",
    "the filter center": "{{ 'x' | center(3000000000) }}",
    "zfill": "{{ 'x'.zfill(3000000000) }}",
    "ljust of markup": "{{ ('x' | safe).ljust(3000000000) }}",
    "expandtabs": "{{ ('\\t' * 9999).expandtabs(1000000) }}",
    "indent": "{{ ('a\n' * 9999) | indent(10000000) }}",
    "indent by a text": "{{ ('a\n' * 9999) | indent('x' * 99999) }}",
    "wordwrap": "{{ ('a ' * 9999) | wordwrap(1, wrapstring='x' * 99999) }}",
    "batch": "{{ [1] | batch(3000000000, 'x') | list | length }}",
    "slice": "{{ [1] | slice(3000000000) | list | length }}",
    "tojson": "{{ [[1]] | tojson(indent=3000000000) }}",
    "round to many places": "{{ 5 | round(-3000000000) }}",
    "round up to many places": "{{ 5.5 | round(3000000000, 'ceil') }}",
    "to_bytes": "{{ (5).to_bytes(3000000000, 'big') }}",
    "encode": "{{ 'x'.encode() }}",
    "the filter replace": "{{ ('x' * 99999) | replace('x', 'y' * 99999) }}",
    "the method replace": "{{ ('x' * 99999).replace('', 'y' * 99999) }}",
    "translate": "{{ ('x' * 99999).translate({120: 'y' * 99999}) }}",
    "the filter join": "{{ range(99999) | join('x' * 99999) }}",
    "the filter join of computed items": "{{ range(99999) | map('string') | join('x' * 99999) }}",
    "the method join": "{{ ('x' * 99999).join(range(99999) | map('string')) }}",
    "a list of computed items": "{{ range(99999) | map('center', 9999) | list | length }}",
    "a sum of lists": "{{ ([[1] * 9999] * 9999) | sum(start=[]) | length }}",
    "repetition": "{{ 'x' * 10**10 }}",
    "repetition the other way": "{{ 10**10 * [1] }}",
    "a power": "{{ 2 ** 10000 }}",
    "a power of powers": "{{ ((2 ** 64) ** 64) ** 64 }}",
    "a number of many digits": "{{ ('f' * 99999) | int(base=16) }}",
    "a range": "{{ range(10**9) | list }}",
    "texts doubled by +": DOUBLED.replace("HERE", "n.v + n.v"),
    "texts doubled by ~": DOUBLED.replace("HERE", "n.v ~ n.v"),
    "texts doubled by a format": DOUBLED.replace("HERE", "'%s%s' % (n.v, n.v)"),
    "texts doubled by join": DOUBLED.replace("HERE", "[n.v, n.v] | join"),
    "texts doubled by a macro": "{% macro d(x) %}{{ x }}{{ x }}{% endmacro %}" + DOUBLED.replace("HERE", "d(n.v)"),
    "texts that grow by escapes": DOUBLED.replace("'x'", "'&'").replace("HERE", "n.v | forceescape"),
    "lists doubled by a literal": DOUBLED.replace("HERE", "[n.v, n.v]") + "{{ n.v }}",
    "tuples doubled by a literal": DOUBLED.replace("HERE", "(n.v, n.v)") + "{{ n.v == n.v }}",
    "mappings doubled by a literal": DOUBLED.replace("HERE", "{1: n.v, 2: n.v}") + "{{ n.v | pprint }}",
    "mappings doubled by dict": DOUBLED.replace("HERE", "dict(a=n.v, b=n.v)") + "{{ n.v | tojson }}",
    "lists doubled by +": DOUBLED.replace("'x'", "[1]").replace("HERE", "n.v + n.v"),
    "namespaces doubled": DOUBLED.replace("HERE", "namespace(a=n.v, b=n.v)") + "{{ n.v }}",
    "lists in lists": DOUBLED.replace("40", "400").replace("HERE", "[n.v]") + "{{ n.v }}",
    "tuples in tuples": DOUBLED.replace("40", "400").replace("HERE", "(n.v,)") + "{{ n.v }}",
    "output of loops": "{% set x = 'x' * 99999 %}{% for i in range(99999) %}{{ x }}{% endfor %}",
    "output of a block": "{% set x %}{% for i in range(99999) %}{{ 'x' * 99999 }}{% endfor %}{% endset %}",
    "output of a filter": "{% filter upper %}{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}{% endfilter %}",
    "turns of loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "turns of filters": "{% for a in range(99999) %}{% for b in range(99999) if b == a %}{% endfor %}{% endfor %}",
    "columns of a table": "{{ model_table(columns=['Parameters'] * 99999) }}",
}
DEEP = {
    "21 loops in one another": ("{% for x in [1] %}\n" * 21 + "{% endfor %}" * 21, 21),
    "99 conditions in one another": ("{% if 1 %}\n" * 99 + "{% endif %}" * 99, 99),
    "5,000 operators": ("\n{{ " + " + ".join(["1"] * 5000) + " }}", 2),
    "5,000 joined texts and names": ("\n{{ " + "(" * 400 + "model_name" + " ~ 1)" * 400 + " }}", 2),
    "300 parentheses": ("\n{{ " + "(" * 300 + "1" + ")" * 300 + " }}", 2),
    "10,000 parentheses": ("\n{{ " + "(" * 10_000 + "1" + ")" * 10_000 + " }}", 2),
    "3,000 minus signs": ("\n{{ " + "-" * 3000 + "1 }}", 2),
    "3,000 times not": ("\n{{ " + "not " * 3000 + "1 }}", 2),
    "3,000 brackets": ("\n{{ " + "[" * 3000 + "]" * 3000 + " }}", 2),
    "3,000 filters": ("\n{{ model_name" + " | upper" * 3000 + " }}", 2),
    "3,000 attributes": ("\n{{ model_name" + ".x" * 3000 + " }}", 2),
    "3,000 conditions in a row": ("{% if 0 %}" + "{% elif 0 %}" * 3000 + "{% endif %}\n{{ none }", 2),
    "a macro that calls itself": ("\n{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", 2),
    "a loop that calls itself": ("\n{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}", 2),
    "a page that includes itself": ("\n{% include 'self.md' %}", None),
    "a page that imports itself": ("\n{% import 'imports.md' as a %}", None),
    "a page that extends itself": ("\n{% extends 'extends.md' %}", None),
}
WRONG = {
    "half a letter": "\n{{ '\\ud800' }}",
    "half a letter in a joined text": "\n{{ 'a' ~ '\\udfff' }}",
    "half a letter in a name": "\n{% include '\\ud800' %}",
    "a zero in a name": "\n{% include 'a\\0b' %}",
    "a zero in a computed name": "\n{% include 'a\\0' ~ model_name %}",
    "a name of 5,000 letters": "\n{% include '" + "a" * 5000 + "' %}",
    "a name that is a number": "\n{% include 5 %}",
    "a name above the folder": "\n{% include '../zoo.py' %}",
    "an absolute name": "\n{% include '/etc/passwd' %}",
    "an include that is not text": "\n{% include 'latin.md' %}",
    "a wrong argument of center": "\n{{ 'x' | center('a') }}",
    "a wrong argument of round": "\n{{ 1 | round(method='x') }}",
    "a wrong argument of sort": "\n{{ [1, 'a'] | sort }}",
    "a wrong argument of indent": "\n{{ 'x' | indent([]) }}",
    "a filter that does not exist": "\n{{ 'x' | no_such }}",
    "a filter that differs each time": "\n{{ [1, 2] | random }}",
    "too many arguments": "\n{{ 'x' | upper(1, 2, 3) }}",
    "an unknown keyword": "\n{{ model_table(nothing=1) }}",
    "a method that a type lacks": "\n{{ 'x'.nothing() }}",
    "a division by zero": "\n{{ 1 / 0 }}",
    "an unhashable key": "\n{{ {[]: 1} }}",
    "an unhashable item": "\n{{ [[1], [1]] | unique | list }}",
    "a large float": "\n{{ 10.0 ** 64 ** 64 }}",
    "a float without an end": "\n{{ (1e308 * 10) | int | string | center(5) | abs }}",
    "a function": "\n{{ model_table }}",
    "a method": "\n{{ 'x'.upper }}",
    "a computed sequence": "\n{{ ['x'] | map('upper') }}",
    "an audit that is missing": "\n{{ audit_report('none.json') }}",
    "an audit above the folder": "\n{{ audit_report('../../etc/passwd') }}",
    "an audit at an absolute place": "\n{{ audit_report('/etc/passwd') }}",
    "an audit with a zero in its name": "\n{{ audit_report('a\\0b') }}",
    "an audit with half a letter in its name": "\n{{ audit_report('\\ud800') }}",
    "an audit whose name is a number": "\n{{ audit_report(5) }}",
    "an audit that is a folder": "\n{{ audit_report('templates') }}",
    "an audit that is a pipe": "\n{{ audit_report('pipe.json') }}",
    "an audit that is no JSON": "\n{{ audit_report('zoo.py') }}",
    "an audit that nests": "\n{{ audit_report('deep.json') }}",
    "columns that are a number": "\n{{ model_table(columns=5) }}",
    "columns that are numbers": "\n{{ model_table(columns=[5]) }}",
    "no columns": "\n{{ model_table('Tiny', []) }}",
    "a collection that is a list": "\n{{ model_table([]) }}",
    "a collection of 99,999 letters": "\n{{ model_table('T' * 99999) }}",
    "an argument of a function without any": "\n{{ compare_table('x') }}",
    "an argument of the other function without any": "\n{{ family_cards(1) }}",
}
ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ '' | attr('__class__') }}",
    "{{ [''] | map(attribute='__class__') | list }}",
    "{{ [''] | map('attr', '__class__') | list }}",
    "{{ [''] | groupby('__class__') }}",
    "{{ [''] | sort(attribute='__class__') }}",
    "{{ [''] | selectattr('__class__') | list | first | attr('__class__') }}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{a.__class__}'.format_map({'a': ''}) }}",
    "{{ ('{0.__class__}' | safe).format('') }}",
    "{% set f = 'x{0.__class__}'.format %}{{ f('') }}",
    "{{ ['{0.__class__}'] | map('attr', 'format') | first }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ range.__globals__ }}",
    "{{ dict.__base__ }}",
    "{{ dict.mro() }}",
    "{{ self._TemplateReference__context }}",
    "{{ self.__init__.__globals__ }}",
    "{{ loop._iterable }}",
    "{% for x in [1] %}{{ loop._iterator.gi_frame }}{% endfor %}",
    "{% macro m() %}{% endmacro %}{{ m._environment }}",
    "{% macro m() %}{% endmacro %}{{ m.__call__.__func__ }}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% import 'code_snippets.md' as s with context %}{{ s.__dict__ }}",
    "{% import 'yes.md' as s %}{{ s._body_stream }}",
    "{{ model_table.__globals__ }}",
    "{{ model_table.__closure__[0].cell_contents }}",
    "{{ model_table.__code__ }}",
    "{{ audit_report.__wrapped__ }}",
    "{{ models[0].__struct_fields__ }}",
    "{{ models[0].__class__.__init__ }}",
    "{{ models[0]['__class__'] }}",
    "{{ nothing._undefined_obj }}",
    "{{ models.nothing.__class__ }}",
    "{{ [].append(1) }}",
    "{{ {}.update({}) }}",
    "{{ models[0]['values'].update({'a': 1}) }}",
    "{{ (1).__class__ }}",
    "{{ (1).real.__class__ }}",
    "{{ 'x'.join.__self__ }}",
    "{{ ([1] | map('upper')).gi_frame }}",
    "{{ (['a'] | map('upper')).gi_code }}",
    "{{ context }}",
    "{{ environment }}",
    "{{ config }}",
    "{{ cycler }}",
    "{{ request }}",
    "{{ __builtins__ }}",
    "{{ get_flashed_messages }}",
    "{% do 1 %}",
    "{% debug %}",
    "{% include 'cardproof/../sections.md' %}",
    "{% include 'cardproof/../../templates.py' %}",
    "{{ ''|xmlattr }}",
    "{{ {'a b': 1} | xmlattr }}",
    "{% autoescape true %}{{ {'a onclick=x': 1} | xmlattr }}{% endautoescape %}",
]


@pytest.mark.attack(
    "template", "a text or list that takes all memory: widths, padding, doubling, joins, loops", "an error at its line"
)
@pytest.mark.parametrize("name", LARGE)
@pytest.mark.usefixtures("little_memory")
def test_what_would_take_all_memory_is_a_finding_in_its_line(card, name):
    finding = card.finding("\n\n" + LARGE[name])
    assert (finding.place.file, finding.check, finding.severity) == ("card.md", "template", "error")
    assert finding.place.line >= 3
    assert "MemoryError" not in finding.message  # it was refused before
    assert "took more than" not in finding.message


@pytest.mark.attack(
    "template", "nests deeper than Jinja or Python can read, or includes itself", "an error at its line, no traceback"
)
@pytest.mark.parametrize("name", DEEP)
def test_what_nests_too_deeply_is_a_finding_in_its_line(card, name):
    text, line = DEEP[name]
    finding = card.finding(text)
    assert finding.check == "template"
    assert line in (None, finding.place.line)


@pytest.mark.attack(
    "template", "wrong arguments, names that no file can have, letters that no file can hold", "an error at its line"
)
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_a_finding_in_its_line(card, name):
    finding = card.finding(WRONG[name])
    assert (finding.place.file, finding.place.line, finding.check) == ("card.md", 2, "template")
    assert len(finding.message) < 1000
    finding.message.encode()


@pytest.mark.attack(
    "template", "leaves the sandbox by attributes, formats, filters, globals, modules", "refused with the line"
)
@pytest.mark.parametrize("text", ESCAPES)
def test_no_way_out_of_the_sandbox(card, text):
    try:
        shown = card.render(text)
    except TemplatesError as error:
        assert {(finding.place.file, finding.place.line) for finding in error.findings} == {("card.md", 1)}
    else:
        assert shown in ("[Undefined]", "[(Undefined, [''])]", "['']")  # no attribute, and no error, as in Jinja


def test_an_include_that_does_not_parse_beside_an_undefined_name_is_reported(card):
    with pytest.raises(TemplatesError) as caught:
        card.render("{{ nobody }}\n{% include 'broken.md' %}")
    found = {(finding.place.file, finding.place.line) for finding in caught.value.findings}
    assert found == {("card.md", 1), ("templates/broken.md", 2)}


def test_an_error_in_an_include_names_the_include(card):
    finding = card.finding("\n{% include 'broken.md' %}")
    assert (finding.place.file, finding.place.line) == ("templates/broken.md", 2)


def test_all_that_a_template_can_reach_is_plain_values_and_four_functions(card):
    plain = (str, int, float, bool, type(None))
    functions, todo, seen = [], list(card.variables.items()), 0
    while todo:
        name, value = todo.pop()
        seen += 1
        if callable(value):
            functions.append(name)
        elif isinstance(value, Struct):
            assert type(value).__module__.startswith("cardproof.render.views"), name
            todo += [(f"{name}.{field}", getattr(value, field)) for field in value.__struct_fields__]
        elif isinstance(value, dict):
            todo += [(f"{name}[{key}]", inner) for key, inner in value.items()]
        elif isinstance(value, tuple | list):
            todo += [(name, inner) for inner in value]
        else:
            assert isinstance(value, plain), (name, type(value))
    assert sorted(functions) == ["audit_report", "compare_table", "family_cards", "model_table"]
    assert seen > 20
    assert sorted(card.templates._environment.globals) == ["dict", "namespace", "range"]


GOOD = {
    "{{ '%.2f%%' % 78.246 }}": "78.25%",
    "{{ '{:,} of {:>8}'.format(24671464, 1) }}": "24,671,464 of        1",
    "{{ '%d' | format(24671464) }}": "24671464",
    "{{ nothing | default(24671464) }}": "24671464",
    "{{ 24671464 * 4 / 10**6 }}": "98.685856",
    "{{ model_table('Tiny', 'Parameters').splitlines() | first }}": "| Model | Parameters |",
    "{{ {'a': 1}.get('b', 25000000) }}": "25000000",
    "{{ [3, 1, 2] | sort | join(', ') }}": "1, 2, 3",
    "{{ range(5) | map('string') | map('center', 3) | list | length }}": "5",
    "{% for a, b in {'x': 1}.items() %}{{ loop.index }}/{{ loop.length }}{{ a ~ '=' ~ b }}{% endfor %}": "1/1x=1",
    "{% for x in [1, [2, [3]]] recursive %}{{ x if x is number else loop(x) }}{% endfor %}": "123",
    "{% set n = namespace(t=0) %}{% for i in range(1000) %}{% set n.t = n.t + i %}{% endfor %}{{ n.t }}": "499500",
    "{% macro m(a, b=[1, 2]) %}{{ a }}{{ b[1] }}{{ caller() }}{% endmacro %}{% call m('x') %}y{% endcall %}": "x2y",
    "{% set a, b = 1, 2 %}{{ a + b }}{{ (a, b) | sum }}": "33",
    "{{ ('word ' * 3) | trim | wordwrap(100000) | truncate(1000000) }}": "word word word",
    "{{ ['a', 'b'] | map('upper') | join }}{{ 'x' | indent(4, first=true) }}": "AB    x",
    "{{ 'ü' ~ '漢字' ~ '\\U0001f600' }}": "ü漢字\U0001f600",
    "{% autoescape true %}{{ '<' ~ ('<' | safe) }}{% endautoescape %}": "&lt;<",
    "{% include ['none.md', 'yes.md'] %}{% include 'none' ignore missing %}": "yes",
    "{% include 'a\\0' ignore missing %}{% include '" + "a" * 5000 + "' ignore missing %}x": "x",
    "{% import 'yes.md' as y %}{{ y }}{{ y | upper }}": "yesYES",
    "{{ (models | first).name }}{{ models | length }}{{ models[0].claims | map(attribute='field') | join('|') }}": None,
}


@pytest.mark.parametrize("text", GOOD)
def test_what_honest_templates_do_is_not_limited(card, text):
    assert card.render(text) == GOOD[text] if GOOD[text] is not None else card.render(text)


def test_ten_thousand_includes_are_a_page(card):
    assert card.render("{% include 'yes.md' %}" * 500 + "{% for i in range(9500) %}{% include 'yes.md' %}{% endfor %}")


def test_lines_of_a_long_page_are_traced_in_little_time_even_if_marks_change_it(card):
    text = "first\n{% set x %}\na\n{% endset %}{{ x | length }}\n{% for i in range(20000) %}\nx\n{% endfor %}\nlast"
    began = time.monotonic()
    shown, origin = trace(card.templates, text, "card.md", card.variables)
    assert time.monotonic() - began < PLENTY
    assert len(origin) == shown.count("\n") + 1
    assert (origin[1], origin[len(origin)]) == (("card.md", 1), ("card.md", 8))


def test_the_time_limit_holds_in_any_thread(card, monkeypatch):
    monkeypatch.setattr("cardproof.render.templates.TIME_LIMIT", 1)
    twice = "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(50) }}"
    found = []
    thread = threading.Thread(target=lambda: found.append(card.finding(twice)))
    thread.start()
    thread.join()
    assert "more than 1 seconds" in found[0].message


def test_a_hostile_card_is_a_finding_and_the_others_are_audited(site):
    models = site / "templates/models"
    (models / "bad.md").write_text("{% for x in [1] %}\n" * 21 + "{% endfor %}" * 21)
    (models / "zero.md").write_text("{% include 'a\\0b' %}\n")
    (models / "half.md").write_text("{{ '\\ud800' }}\n")
    result = render(load_settings(site / "mkdocs.yml"), ONE_JOB)
    assert result.exit == 1
    assert sorted(finding.place.file.rpartition("/")[2] for finding in result.findings) == [
        "bad.md",
        "half.md",
        "zero.md",
    ]
    assert result.measured == 1
    assert not (site / "docs/models").exists()


def test_errors_of_all_templates_are_reported_together_also_if_snippets_are_run(site):
    config = (site / "mkdocs.yml").read_text().replace("{run: false}", "{run: true}")
    (site / "mkdocs.yml").write_text(config)
    (site / "templates/models/tiny.md").write_text(CARD.replace("A network of one convolution.", "{{ one }}"))
    (site / "templates/models/b.md").write_text("{{ two }}\n")
    found = [finding.place.file for finding in render(load_settings(site / "mkdocs.yml"), ONE_JOB).findings]
    assert found == ["templates/models/b.md", "templates/models/tiny.md"]
