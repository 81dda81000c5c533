"""The command's defaults on the real MNIST."""

import re

import pytest

from portable_nn.cli import main


@pytest.mark.slow
def test_the_defaults_read_mnist(mnist_folder, capsys):
    assert main(["train", str(mnist_folder), "--quiet"]) == 0
    found = re.search(r"test accuracy (0\.\d+)", capsys.readouterr().out)
    assert found
    assert float(found[1]) >= 0.982
