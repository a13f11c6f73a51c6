"""What a render must never do: lose a person's files, confirm from stale evidence, or fail with a traceback."""

from __future__ import annotations

import pytest
from sites import CARD, ONE_JOB, write_site

from cardproof.build import render
from cardproof.core.errors import InputError
from cardproof.core.settings import load_settings
from cardproof.evidence.records import file_name


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_site(tmp_path)


def settings_of(site, **options):
    from msgspec.structs import replace

    return replace(load_settings(site / "mkdocs.yml"), **options)


def run(site, **options):
    return render(settings_of(site, **options), ONE_JOB)


def test_a_file_that_was_never_rendered_is_not_overwritten_and_no_other_page_is_written(site):
    precious = site / "docs/models/tiny.md"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious\n")
    result = run(site)
    assert result.exit == 1
    assert [(str(f.place), f.check) for f in result.findings] == [("docs/models/tiny.md:1:1", "hand-edit")]
    assert precious.read_text() == "precious\n"
    assert [path.name for path in (site / "docs/models").iterdir()] == ["tiny.md"]


@pytest.mark.parametrize("out", ["templates", "templates/models", "."])
def test_pages_are_never_written_over_their_templates(site, out):
    with pytest.raises(InputError, match="name another --out"):
        run(site, out=site / out)
    assert (site / "templates/models/tiny.md").read_text() == CARD


def test_pages_written_below_the_templates_do_not_become_templates(site):
    out = site / "templates/models/out"
    assert run(site, out=out).exit == 0
    result = run(site, out=out)
    assert not any(change.differs for change in result.changes)
    assert len(result.cards) == 1


def test_pages_of_another_folder_of_templates_are_left_alone(site):
    run(site)
    other = site / "docs/more"
    run(site, out=other)
    assert run(site, out=site / "docs").exit == 0
    assert (site / "docs/models/tiny.md").is_file()
    assert (other / "tiny.md").is_file()


def test_a_folder_without_templates_is_bad_input_and_empties_no_site(site):
    run(site)
    (site / "templates/models/tiny.md").unlink()
    with pytest.raises(InputError, match="no card template"):
        run(site)
    assert (site / "docs/models/tiny.md").is_file()


def test_text_after_the_stamp_is_a_hand_edit(site):
    run(site)
    page = site / "docs/models/tiny.md"
    page.write_text(page.read_text() + "more\n")
    result = run(site)
    assert [f.check for f in result.findings] == ["hand-edit"]


def test_evidence_is_stale_when_a_module_that_the_zoo_imports_changes(site):
    package = site / "nets" / "deep"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package.parent / "__init__.py").write_text("")
    (package / "width.py").write_text("WIDTH = 8\n")
    zoo = site / "zoo.py"
    old, new = 'width = 16 if name == "tiny_16" else 8', "from nets.deep.width import WIDTH as width"
    zoo.write_text(zoo.read_text().replace(old, new))
    assert run(site).exit == 0
    assert run(site).measured == 0
    (package / "width.py").write_text("WIDTH = 16\n")
    result = run(site)
    assert (result.measured, result.exit) == (1, 1)


def test_only_reads_all_cards_for_tables_and_reports_the_chosen_one(site):
    models = site / "templates/models"
    (models / "index.md").write_text("# All\n\n{{ model_table(columns=['Parameters']) }}\n")
    (models / "wrong.md").write_text(CARD.replace("Name: tiny\n", "Name: tiny_16\n"))
    assert render(settings_of(site), ONE_JOB).exit == 1
    result = render(settings_of(site), ONE_JOB, only=("index",))
    assert (result.exit, result.findings) == (0, [])
    assert "tiny_16" in (site / "docs/models/index.md").read_text()


@pytest.mark.parametrize("name", ["a b", "../up", "é—x", ".hidden", "x" * 300, "a/b", "A*?"])
def test_any_model_name_gives_a_file_name_that_is_safe_and_its_own(name):
    found = file_name(name)
    assert len(found) < 120
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not found.startswith(".")
    assert found not in (file_name(name.lstrip(".")) if name.startswith(".") else "", file_name("hidden"))


@pytest.mark.parametrize("text", ["---\ntitle: x\n---", "---\ntitle: x\n---\n", "", "\n", "no index"])
def test_small_templates_become_pages(site, text):
    (site / "templates/models/small.md").write_text(text)
    assert run(site).exit == 0
    assert (site / "docs/models/small.md").is_file()


@pytest.mark.parametrize(
    "text",
    [
        "{% include 'tiny.md' %}",
        "{{ 'x' * 10**10 }}",
        "{{ 2 ** 10000 }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_a_template_that_takes_all_memory_or_includes_itself_is_an_error(site, text):
    (site / "templates/models/tiny.md").write_text(CARD.replace("A network of one convolution.", text))
    result = run(site)
    assert result.exit == 1
    assert {f.check for f in result.findings} == {"template"}


def test_a_template_that_never_ends_is_stopped(site, monkeypatch):
    monkeypatch.setattr("cardproof.render.templates.TIME_LIMIT", 1)
    twice = "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(50) }}"
    (site / "templates/models/tiny.md").write_text(CARD.replace("A network of one convolution.", twice))
    (finding,) = run(site).findings
    assert "more than 1 seconds" in finding.message
