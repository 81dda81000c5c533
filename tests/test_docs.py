"""The code of the documentation runs, page by page, and the graphs drawn there are what it makes."""

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text, names = (DOCS / page).read_text(encoding="utf-8"), {}
    if 'xp="torch"' in text:
        pytest.importorskip("torch")
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, page, "exec"), names)
    printed = capsys.readouterr().out
    for shown in re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL):
        assert shown in printed
    drawn = re.findall(r"```mermaid\n(.*?)```", text, flags=re.DOTALL)
    if page == "back-propagation.md":
        assert drawn[1] in printed
        assert [line for line in drawn[1].splitlines() if "-.->" not in line] == drawn[0].splitlines()


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_the_pictures_of_a_page_are_there(page):
    for path in re.findall(r"!\[[^\]]*\]\((?!https?:)([^)]*)\)", (DOCS / page).read_text(encoding="utf-8")):
        assert (DOCS / path).read_bytes().startswith(b"\x89PNG")
        assert (DOCS / path).stat().st_size < 60_000


def glossary():
    """Return what stands behind each word of the glossary."""
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^- \*\*(.*?)\*\*: (.*?)(?=^- \*\*|\Z)", text, flags=re.DOTALL | re.MULTILINE))


def test_the_words_of_the_glossary_are_in_order():
    words = list(glossary())
    assert len(words) > 50
    assert words == sorted(words)


def named(path):
    """Return what a dotted name below portable_nn stands for."""
    thing = importlib.import_module("portable_nn")
    for part in path.split("."):
        if not hasattr(thing, part) and hasattr(thing, "__path__"):
            importlib.import_module(f"{thing.__name__}.{part}")
        thing = getattr(thing, part)
    return thing


NAMES = {name for text in glossary().values() for name in re.findall(r"`([A-Za-z_]\w*(?:\.\w+)+|[A-Z]\w+)`", text)}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_names_in_the_glossary_are_those_of_the_code(name):
    if name.startswith("adapters"):
        pytest.importorskip("sklearn")
    assert named(name) is not None
