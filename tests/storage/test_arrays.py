import os
import subprocess
import sys

import pytest

from portable_nn.storage import replace


@pytest.mark.skipif(os.name != "posix", reason="only there is an umask")
def test_new_files_heed_the_umask_of_the_moment_which_is_never_set(tmp_path, monkeypatch):
    path = tmp_path / "new"
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda mask: pytest.fail("the umask is of the whole process"))
            replace(path, b"abc")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_bytes() == b"abc"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="only there is an umask")
def test_importing_does_not_set_the_umask():
    code = "import os; os.umask = lambda mask: 1 / 0; import portable_nn"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
