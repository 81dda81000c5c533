#!/usr/bin/env bash
# All checks that need no GPU, and last the test command of the README. Exits with 1 if any of them failed.
#
#   ci/check.sh          in a new virtual environment, removed at the end
#   ci/check.sh --here   in $VIRTUAL_ENV, the one that is active, which is faster the second time
#
# PYTHON             the interpreter of the checks (3.11 where it is found, else python3)
# OTHER_PYTHONS      the versions on which the wheel is tested too, where they are found ("3.13"; ci/nightly.sh has others)
# TORCH_REQUIREMENT  what pip is asked for ("torch==2.13.0"); empty to go without torch
# TORCH_INDEX_URL    a package index for torch alone, such as one of builds for the CPU
# CI                 true: a backend that needs only a CPU must not be missing
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

scratch=$(mktemp -d)
trap 'for job in $(jobs -p); do kill -- "-$job"; done 2>/dev/null; rm -rf "$scratch"' EXIT
source ci/steps.sh

install() {
  python -m pip install -e ".[test,dev,mkl]" "pyright[nodejs]"
  python --version
}

install_torch() {
  if [ -z "$TORCH_REQUIREMENT" ]; then
    echo "left out: TORCH_REQUIREMENT is empty"
  elif ! timeout 300 python -m pip install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "$TORCH_REQUIREMENT"; then
    echo "$TORCH_REQUIREMENT could not be installed: the checks go on without it"
  fi
}

find_backends() {
  python - numpy array-api-strict torch jax <<'END'
import os
import sys

from portable_nn.testing.backends import BACKENDS

missing = [backend.name for backend in BACKENDS if backend.missing()]
print(*(f"{backend.name}: {'missing' if backend.name in missing else 'found'}" for backend in BACKENDS), sep="\n")
sys.exit(os.environ.get("CI") == "true" and bool(set(missing) & set(sys.argv[1:])))
END
}

# All that names the backend, but for what is slow. No GPU is there: what passes is no result of one (docs/cupy.md).
test_on_the_stand_in_for_cupy() {
  if [ "$(uname)" != Linux ] || ! command -v g++ >/dev/null; then
    echo "left out: kernels run on the CPU where there is Linux and g++"
    return
  fi
  PORTABLE_NN_CUPY=stand-in PORTABLE_NN_BACKENDS='["cupy"]' python -m pytest -q --tb=short -k "cupy or backend" \
    -m "not slow" tests
}

beside() { # NAME COMMAND...: begin a step that goes on beside others
  begun+=("$1")
  {
    (set -e && "${@:2}")
    echo $? >"$scratch/$1.status"
    echo "took $SECONDS s since the beginning of all checks"
  } >"$scratch/$1.log" 2>&1 &
}

result() { # NAME: print what such a step printed, and return what it returned
  cat "$scratch/$1.log"
  return "$(cat "$scratch/$1.status")"
}

# All at once: none of them needs more than one core.
test_elsewhere() { # VERSION...
  local version python name begun=()
  set -m # without it bash lets what runs in the background ignore Ctrl-C, which tests press
  beside "tests on the stand-in for CuPy" test_on_the_stand_in_for_cupy
  for version; do
    if python=$(find_python "$version"); then
      beside "wheel on Python $version" test_wheel "$python"
      tested_elsewhere=1
    else
      printf '\n== wheel on Python %s\nnot found here\n' "$version"
    fi
  done
  wait
  set +m
  for name in "${begun[@]}"; do step "$name" result "$name"; done
}

readme_tests='python -m pip install -e ".[test]" && python -m pytest'

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_QUIET=2
# Two threads of BLAS on two busy cores are slower than one, and tests measure time.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
TORCH_REQUIREMENT=${TORCH_REQUIREMENT-torch==2.13.0}

use_environment "${1:-}"

step "install" install
[ ${#failed[@]} = 0 ] || exit 1
step "install torch" install_torch
step "backends" find_backends
step "format" ruff format --check .
step "lint" ruff check .
step "import contracts" lint-imports --no-cache
step "types" pyright --pythonpath "$(command -v python)"
step "wheel" python -m build --wheel --outdir "$scratch/wheel" .
step "budgets" python ci/budgets.py "$scratch"/wheel/*.whl
step "README names the test command" grep -F "$readme_tests" README.md
step "speed" python -m benchmarks --quick
tested_elsewhere=
test_elsewhere ${OTHER_PYTHONS-3.13}
[ -n "$tested_elsewhere" ] || step "wheel on this Python" test_wheel python # whose tests run below, too

printf '\n== tests, after %d s of checks, of which failed: %s\n' "$SECONDS" "$(IFS=, && echo "${failed[*]:-none}")"
PYTEST_ADDOPTS="-n auto --dist worksteal" bash -c "$readme_tests" && [ ${#failed[@]} = 0 ]
