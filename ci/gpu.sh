#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, through CuPy, torch and JAX, in stages in the order of their worth. Each is bounded
# and survives the failure of those before; what it found lies in FOLDER as soon as it ends. Exits with 1 if one failed.
#
#   ci/gpu.sh [STAGE...]
#
# STAGE      install machine kernels tests-cupy tests-torch tests-jax W1 W4 W5 W9 pairs: all, unless some are named
# OUT        the folder for the results (benchmarks/results): gpu.txt has what all stages printed, a JSON file each the times
# WHEELS     a folder with wheels of all that is missing, for a machine without a network: they are unpacked beside the
#            environment in use. Without it pip installs the project with CuPy, torch and JAX for CUDA 13.
# PYTHON     the interpreter (python3)
# BOUND      a factor on the seconds that a stage may take (1)
# REHEARSAL  anything: with the stand-in for CuPy on the CPU, to see that the script runs; stages of a GPU fail then
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

out=${OUT:-benchmarks/results}
python=${PYTHON:-python3}
scratch=${TMPDIR:-/tmp}/portable-nn-gpu # kept, so that the next call need not unpack anything again
mkdir -p "$out" "$scratch" || exit 1

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_QUIET=2 PYTHONUNBUFFERED=1
export XLA_PYTHON_CLIENT_PREALLOCATE=false   # JAX would take three quarters of the GPU's memory from the other two
export JAX_DEFAULT_MATMUL_PRECISION=highest  # JAX would round the factors of a matrix product to TF32
unset PORTABLE_NN_CUPY                       # the stand-in on the CPU is no GPU
[ -n "${REHEARSAL:-}" ] && export PORTABLE_NN_CUPY=stand-in PYTHONPATH="$PWD/tests/cupy_on_cpu${PYTHONPATH:+:$PYTHONPATH}"
[ -n "${WHEELS:-}" ] && export PYTHONPATH="$PWD:$scratch/site${PYTHONPATH:+:$PYTHONPATH}"

install() {
  if [ -n "${WHEELS:-}" ]; then
    "$python" -m pip install --no-index --no-deps --upgrade --target "$scratch/site" "$WHEELS"/*.whl
  elif [ -z "${REHEARSAL:-}" ]; then
    "$python" -m pip install -e ".[test,cuda13]" torch "jax[cuda13]"
  fi
}

machine() {
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
  "$python" - <<'END'
import sys
from importlib import metadata

from portable_nn.testing.backends import BACKENDS

versions = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
wanted = ("numpy", "cupy", "torch", "jax")
print(f"python {sys.version.split()[0]}", *(f"{n} {v}" for n, v in sorted(versions.items()) if n.startswith(wanted)), sep="\n")
missing = [b.missing() for b in BACKENDS if b.name in ("cupy", "torch-cuda", "jax-cuda") and b.missing()]
sys.exit("\n".join(missing) or None)
END
}

pytest() { # BACKEND ARGUMENT...
  local plugin=()
  # Without an installed distribution there is no entry point through which pytest finds the fixtures.
  "$python" -c 'from importlib.metadata import distribution; distribution("portable-nn")' 2>/dev/null ||
    plugin=(-p portable_nn.testing.plugin --ignore=tests/test_packaging.py)
  PORTABLE_NN_BACKENDS="[\"$1\"]" "$python" -m pytest -q --tb=short "${plugin[@]}" "${@:2}"
}

pairs() {
  "$python" -m benchmarks.kernels
}

compete() { # WORKLOAD
  "$python" -m benchmarks --gpu --workloads "$1" --rounds 9 --out "$out"
}

failed=()
stage() { # NAME SECONDS COMMAND...
  local name=$1 seconds begin=$SECONDS status
  [ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " == *" $name "* ]] || return 0
  seconds=$(awk "BEGIN { print int($2 * ${BOUND:-1}) }")
  printf '\n== %s\n' "$name"
  # A process of its own, which `timeout` can end with all that it has started.
  timeout --kill-after=10 "$seconds" bash -c "$(declare -f "$3"); out=$(printf %q "$out") python=$(printf %q "$python") scratch=$(printf %q "$scratch"); $(printf '%q ' "${@:3}")"
  status=$?
  printf -- '-- %s: %d s%s\n' "$name" $((SECONDS - begin)) \
    "$([ $status = 0 ] || { [ $status = 124 ] && echo ", FAILED: more than $seconds s" || echo ', FAILED'; })"
  [ $status = 0 ] || failed+=("$name")
}

wanted=("$@")
{
  date -u '+%Y-%m-%d %H:%M'
  [ -n "${REHEARSAL:-}" ] && echo "a rehearsal with the stand-in for CuPy on the CPU: nothing here is a result of a GPU"
  stage install 420 install
  stage machine 120 machine
  stage kernels 60 pytest cupy -x tests/kernels/test_fast.py tests/kernels/test_updates.py
  stage tests-cupy 420 pytest cupy -k cupy tests
  stage W1 90 compete W1
  stage W4 90 compete W4
  stage W5 90 compete W5
  stage W9 90 compete W9
  stage tests-torch 180 pytest torch-cuda -k torch-cuda tests
  stage tests-jax 240 pytest jax-cuda -k jax-cuda tests
  stage pairs 120 pairs
  printf '\nafter %d s, of which failed: %s\n' "$SECONDS" "$(IFS=, && echo "${failed[*]:-none}")"
  [ ${#failed[@]} = 0 ]
} 2>&1 | tee "$out/gpu.txt"
