"""The code of the documentation runs, page by page, and the graphs drawn there are what it makes."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text, names = (DOCS / page).read_text(encoding="utf-8"), {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, page, "exec"), names)
    printed = capsys.readouterr().out
    for shown in re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL):
        assert shown in printed
    drawn = re.findall(r"```mermaid\n(.*?)```", text, flags=re.DOTALL)
    if page == "back-propagation.md":
        assert drawn[1] in printed
        assert [line for line in drawn[1].splitlines() if "-.->" not in line] == drawn[0].splitlines()
