"""The README's code runs, and its numbers hold."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_code_of_the_readme_runs(number, tmp_path, monkeypatch, capsys):
    if "torch" in BLOCKS[number]:
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], f"README block {number}", "exec"), {})
    for accuracy in re.findall(r"^0\.9\d+$", capsys.readouterr().out, flags=re.MULTILINE):
        assert float(accuracy) >= 0.97
