# What the scripts beside this one have in common; they source it from the root of the repository.

failed=()

step() { # NAME COMMAND...: run the command, say how long it took, remember whether it failed
  local name=$1 begin=$SECONDS status
  shift
  printf '\n== %s\n' "$name"
  (set -e && "$@") # bash forgets -e in a condition, so no step may stand in one
  status=$?
  printf -- '-- %s: %d s%s\n' "$name" $((SECONDS - begin)) "$([ $status = 0 ] || echo ', FAILED')"
  [ $status = 0 ] || failed+=("$name")
}

find_python() { # VERSION, with a t if without the lock: print the interpreter which runs and can make environments
  local candidate program
  program='import ensurepip, sys, sysconfig as of
print("{}.{}".format(*sys.version_info) + "t" * bool(of.get_config_var("Py_GIL_DISABLED")))'
  for candidate in "python$1" "$(pyenv root 2>/dev/null)/versions/${1%t}".*/bin/python; do
    if [ "$("$candidate" -c "$program" 2>/dev/null)" = "$1" ]; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

use_environment() { # [--here]: put a new virtual environment first in PATH, or the active one
  local environment=$scratch/venv
  if [ "$1" = --here ]; then
    environment=${VIRTUAL_ENV:?--here needs an active virtual environment}
  else
    "${PYTHON:-$(find_python 3.11 || echo python3)}" -m venv "$environment" || exit 1
  fi
  export PATH="$environment/bin:$PATH"
}

# Away from the repository, so that what is imported is what users get; without torch and JAX, which not all of them have.
test_wheel() { # PYTHON
  local away entry
  away=$(mktemp -d "$scratch/away.XXXXXX")
  mkdir "$away/repository"
  for entry in *; do [ "$entry" = portable_nn ] || cp -r "$entry" "$away/repository"; done
  cd "$away/repository"
  "$1" -m venv "$away/venv"
  PATH="$away/venv/bin:$PATH"
  python - >"$away/requirements.txt" <<'END'
import tomllib

extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]
print(*(requirement for requirement in extras["test"] if not requirement.startswith("jax")), sep="\n")
END
  python -m pip install "$scratch"/wheel/*.whl -r "$away/requirements.txt"
  python -c 'import portable_nn; print(portable_nn.__file__); assert "site-packages" in portable_nn.__file__'
  portable-nn train digits --quiet
  if python -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then # where looking on costs next to nothing
    python -m pip install "coverage>=7.6"
    COVERAGE_CORE=sysmon PORTABLE_NN_BACKENDS='["numpy"]' python -m coverage run -m pytest -q --tb=short -m "not slow" tests
    echo "of the lines that need NumPy alone, tests have run $(python -m coverage report --format=total) %"
    python -m coverage report --format=total >/dev/null # fails below the floor in pyproject.toml
  else
    PORTABLE_NN_BACKENDS='["numpy"]' python -m pytest -q --tb=short -m "not slow" tests
  fi
}
