"""Print what the package measures against its budgets, and exit with 1 where one is exceeded.

Usage: python ci/budgets.py WHEEL
"""

import ast
import sys
import zipfile
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

PACKAGE = Path(__file__).parents[1] / "portable_nn"
FILE_LINES = 300
FUNCTION_LINES = 40
INSTALLED_BYTES = 2_000_000


def function_lengths(source: str) -> Iterator[tuple[str, int]]:
    """Yield each function's place and name, and the lines of its body without the docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield f"{node.lineno} {node.name}", body[-1].end_lineno - body[0].lineno + 1 if body else 0


def import_cycle() -> list[str]:
    """Return the modules of one import cycle, the first again at the end; empty if there is none."""
    # What only a type checker imports counts as well: who reads the one file needs the other.
    graph = grimp.build_graph("portable_nn", exclude_type_checking_imports=False, cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def over(lengths: dict[str, int], budget: int, what: str) -> list[str]:
    """Print the largest of `lengths`; return a complaint for each one above the budget."""
    largest = max(lengths, key=lambda name: lengths[name])
    print(f"longest {what}: {lengths[largest]} lines of {budget} ({largest})")
    return [f"{what} {name}: {length} lines, {budget} allowed" for name, length in lengths.items() if length > budget]


def main(wheel: str) -> int:
    """Measure the package and the wheel; return the exit status."""
    sources = {str(path.relative_to(PACKAGE.parent)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    functions = {
        f"{path}:{name}": length for path, source in sources.items() for name, length in function_lengths(source)
    }
    complaints = over({path: len(source.splitlines()) for path, source in sources.items()}, FILE_LINES, "file")
    complaints += over(functions, FUNCTION_LINES, "function body")

    cycle = import_cycle()
    print(f"import cycles: {' <- '.join(cycle) or 0}")
    complaints += ["an import cycle"] if cycle else []

    installed = sum(member.file_size for member in zipfile.ZipFile(wheel).infolist())
    print(f"installed size: {installed:,} bytes of {INSTALLED_BYTES:,}")
    complaints += ["the installed size"] if installed >= INSTALLED_BYTES else []

    for complaint in complaints:
        print(f"over budget: {complaint}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
