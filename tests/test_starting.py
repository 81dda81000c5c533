"""Ctrl-C while the command is still being imported."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

WAYS = {
    "module": ["-m", "portable_nn"],
    "script": ["portable-nn"],  # what an installer writes for the entry point
}
SCRIPT = "import sys\nfrom portable_nn.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
INTERRUPT = """
import signal, sys

class Interrupt:
    def find_spec(name, path=None, target=None):
        if name == {name!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt)
"""


def run(folder: Path, name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python, interrupted when it begins to import `name`."""
    (folder / "sitecustomize.py").write_text(INTERRUPT.format(name=name))
    (folder / "portable-nn").write_text(SCRIPT)
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[1])])
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=os.environ | {"PYTHONPATH": path},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["portable_nn.datasets", "numpy", "array_api_compat", "portable_nn.training.trainer", "portable_nn.cli.train"],
)
@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_during_the_import_is_one_line(tmp_path: Path, way: str, name: str) -> None:
    done = run(tmp_path, name, *WAYS[way], "train", "digits")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "portable-nn: interrupted\n")


@pytest.mark.parametrize("way", WAYS)
def test_an_ignored_ctrl_c_stays_ignored(tmp_path: Path, way: str) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which the process inherits, as under nohup
    try:
        done = run(tmp_path, "array_api_compat", *WAYS[way], "--version")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("code", ["import portable_nn", "import portable_nn.cli"])
def test_a_program_that_uses_the_library_keeps_its_ctrl_c(tmp_path: Path, code: str) -> None:
    check = "import signal; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    done = run(tmp_path, "nothing", "-c", f"{code}; {check}")
    assert (done.returncode, done.stderr) == (0, "")
    done = run(tmp_path, "array_api_compat", "-c", f"try: {code}\nexcept KeyboardInterrupt: print('caught')")
    assert done.stdout == "caught\n"


def test_the_command_gives_ctrl_c_back(tmp_path: Path) -> None:
    check = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    program = (
        f"import sys\nsys.argv[0] = '/bin/portable-nn'\nfrom portable_nn.cli import main\nmain(['backends'])\n{check}"
    )
    done = run(tmp_path, "nothing", "-c", program)
    assert done.stdout.endswith("\nTrue\n")
