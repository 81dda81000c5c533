import subprocess
import sys

import portable_nn.datasets


def test_the_public_names():
    assert portable_nn.datasets.__all__ == [
        "Table",
        "load_digits",
        "load_fashion_mnist",
        "load_features",
        "load_idx",
        "load_mnist",
        "load_table",
        "read_idx",
    ]
    assert all(hasattr(portable_nn.datasets, name) for name in portable_nn.datasets.__all__)


def test_the_import_and_the_digits_need_no_downloader():
    code = (
        "import sys, portable_nn.datasets as d; d.load_digits(); "
        "assert not {'pooch', 'requests', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
