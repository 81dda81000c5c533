#!/usr/bin/env bash
# All tests on an NVIDIA GPU through CuPy, torch and JAX, then the benchmarks. Exits with 1 if one of the three is missing
# or anything failed.
#
#   ci/gpu.sh [FOLDER]
#
# The environment in use brings CuPy, torch and JAX built for the GPU.
#
# FOLDER  (or $WHEELS) wheels of all else that is missing, for a machine without a network: they are unpacked for this
#         run alone. Without it pip installs the project and what it needs into the environment in use.
# OUT     the folder for the results (benchmarks/results)
# PYTHON  the interpreter (python3)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

wheels=${1:-${WHEELS:-}}
out=${OUT:-benchmarks/results}
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$out" || exit 1

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_QUIET=2
if [ -n "$wheels" ]; then
  "$python" -m pip install --no-index --no-deps --target "$scratch/site" "$wheels"/*.whl || exit 1
  export PYTHONPATH="$PWD:$scratch/site${PYTHONPATH:+:$PYTHONPATH}"
else
  "$python" -m pip install -e ".[test]" || exit 1
fi

export PORTABLE_NN_BACKENDS='["numpy", "cupy", "torch-cuda", "jax-cuda"]'
export XLA_PYTHON_CLIENT_PREALLOCATE=false # JAX would take three quarters of the GPU's memory from the other two
export PYTHONUNBUFFERED=1

describe() {
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
  "$python" - <<'END'
import sys
from importlib import metadata

from portable_nn.testing.backends import selected_backends

versions = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
wanted = ("numpy", "cupy", "torch", "jax")
print(f"python {sys.version.split()[0]}", *(f"{n} {v}" for n, v in sorted(versions.items()) if n.startswith(wanted)), sep="\n")
sys.exit("\n".join(missing for backend in selected_backends() if (missing := backend.missing())) or None)
END
}

run_tests() {
  local plugin=()
  # Without an installed distribution there is no entry point through which pytest finds the fixtures.
  "$python" -c 'from importlib.metadata import distribution; distribution("portable-nn")' 2>/dev/null ||
    plugin=(-p portable_nn.testing.plugin --ignore=tests/test_packaging.py)
  # JAX rounds the factors of a matrix product to TF32 on a GPU unless told; float32 is what the tests compare.
  JAX_DEFAULT_MATMUL_PRECISION=highest "$python" -m pytest "${plugin[@]}"
}

status=0
describe 2>&1 | tee "$out/gpu-machine.txt" || exit 1
run_tests 2>&1 | tee "$out/gpu-tests.txt" || status=1
"$python" -m benchmarks --out "$out" 2>&1 | tee "$out/gpu-benchmarks.txt" || status=1
"$python" -m benchmarks.kernels 2>&1 | tee "$out/gpu-kernels.txt" || status=1
exit $status
