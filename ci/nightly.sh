#!/usr/bin/env bash
# What takes too long for every change: more kills, more invented files, the lowest versions of what is needed, threads without
# the lock of Python, and the wheel of CuPy. Exits with 1 if any of it failed.
#
#   ci/nightly.sh          in a new virtual environment, removed at the end
#   ci/nightly.sh --here   in $VIRTUAL_ENV, the one that is active, which has the project and its tests' packages
#
# PYTHON        the interpreter (3.11 where it is found, else python3)
# OTHER_PYTHONS the versions on which the wheel is tested too, where they are found ("3.12")
# KILLS         how often a training process is killed (500)
# PLANS         how many invented graphs are trained by plans, how many by JAX and by torch.compile ("50000 1000 50")
# EXAMPLES      how many files hypothesis invents for each of its tests (5000)
# FUZZ_SECONDS  how long atheris invents files for each reader (600)
# FINDS         the folder for the files that made a reader fail (fuzz-finds)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
source ci/steps.sh

fuzz() { # TARGET
  mkdir -p "$finds"
  python ci/fuzz.py "$1" --seconds "${FUZZ_SECONDS:-600}" --finds "$finds" >"$scratch/fuzz" 2>&1 || {
    tail -n 40 "$scratch/fuzz"
    return 1
  }
  grep -E 'number_of_executed_units|slowest_unit|peak_rss' "$scratch/fuzz"
}

test_threads() { # PYTHON
  "$1" -m venv "$scratch/threads"
  PATH="$scratch/threads/bin:$PATH"
  python -m pip install -e . pytest threadpoolctl
  python -c 'import sys, numpy, portable_nn; print(sys.version); sys.exit(sys._is_gil_enabled())'
  python -m pytest -q tests/test_threads.py
}

test_threads_elsewhere() { # VERSION
  local python
  if python=$(find_python "$1"); then
    step "threads on Python $1" test_threads "$python"
  else
    printf '\n== threads on Python %s\nnot found here\n' "$1"
  fi
}

test_the_lowest_versions() { # PYTHON, the lowest one, too
  "$1" -m venv "$scratch/lowest"
  PATH="$scratch/lowest/bin:$PATH"
  python ci/lowest.py >"$scratch/constraints.txt"
  python -m pip install -c "$scratch/constraints.txt" -e ".[test]"
  PORTABLE_NN_BACKENDS='["numpy"]' python -m pytest -q --tb=short -m "not slow" tests
}

test_wheel_elsewhere() { # VERSION
  local python
  if python=$(find_python "$1"); then
    step "wheel" python -m pip wheel --no-deps --wheel-dir "$scratch/wheel" .
    step "wheel on Python $1" test_wheel "$python"
  else
    printf '\n== wheel on Python %s\nnot found here\n' "$1"
  fi
}

test_beside_the_wheel_of_cupy() { # which imports without a GPU
  python -m venv "$scratch/cupy"
  PATH="$scratch/cupy/bin:$PATH"
  python -m pip install cupy-cuda13x==14.2.0 pytest threadpoolctl
  python -m pytest -q -rs tests/cupy_on_cpu/test_wheel.py | tee "$scratch/wheel-of-cupy"
  ! grep -q SKIPPED "$scratch/wheel-of-cupy"
}

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_QUIET=2
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
finds=${FINDS:-fuzz-finds}

use_environment "${1:-}"

if [ "${1:-}" != --here ]; then
  step "install" python -m pip install -e ".[test]"
  [ ${#failed[@]} = 0 ] || exit 1
  python -m pip install atheris || echo "atheris could not be installed: it has no wheels for some systems"
fi
step "kills" env PORTABLE_NN_KILLS="${KILLS:-500}" python -m pytest -q tests/storage/test_checkpoints.py -k kills
step "invented graphs" env PORTABLE_NN_PLANS="${PLANS:-50000 1000 50}" python -m pytest -q tests/kernels/test_plan_fuzz.py
step "invented files" env PORTABLE_NN_EXAMPLES="${EXAMPLES:-5000}" python -m pytest -q tests/test_fuzz.py
step "the lowest versions that are allowed" test_the_lowest_versions "$(find_python 3.11 || echo python)"
step "slow tests on the stand-in for CuPy" env PORTABLE_NN_CUPY=stand-in PORTABLE_NN_BACKENDS='["cupy"]' \
  python -m pytest -q --tb=short -k "cupy or backend" -m slow tests
step "the stand-in beside the wheel of CuPy" test_beside_the_wheel_of_cupy
if python -c 'import atheris' 2>/dev/null; then
  for target in $(python ci/fuzz.py --list 2>/dev/null); do step "fuzz $target" fuzz "$target"; done
else
  printf '\n== fuzz\nleft out: the package atheris is not installed here\n'
fi
for version in ${OTHER_PYTHONS-3.12}; do test_wheel_elsewhere "$version"; done
for version in 3.13t 3.14t; do test_threads_elsewhere "$version"; done

printf '\nafter %d s, of which failed: %s\n' "$SECONDS" "$(IFS=, && echo "${failed[*]:-none}")"
[ ${#failed[@]} = 0 ]
