"""The rules of the house that imports cannot show. `pyproject.toml` holds the others as import contracts."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "broker"
LONGEST_FILE = 400
LONGEST_FUNCTION = 50

# Each exception with its reason.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS = {
    "web/requests.py:answer_request": "the way of a request, in numbered steps whose local variables are the state",
}
# Unit tests that are not named after one file, and what they are about.
TESTS_OF_SEVERAL = {
    "commands/test_main.py": "broker/__main__.py and the table of commands",
    "iam/test_every_authorization.py": "the law of permissions over all operations",
    "declaration/test_import_stores.py": "declaration/import_minio.py and import_seaweedfs.py",
    "iam/test_every_list.py": "laws of pages, names, quotas and tags over all operations",
    "iam/test_root_tasks.py": "the law of AssumeRoot's tasks over all operations",
    "metadata/test_handler.py": "web/metadata.py with the whole room behind it",
    "policy/test_cases.py": "the runner of the cases that are data",
    "policy/test_laws.py": "laws of the whole judge",
    "policy/test_worlds.py": "what the random worlds of those laws draw",
    "sigv4/test_against_botocore.py": "the whole room against botocore",
    "storage/test_serial.py": "the law of transactions, over engine and store",
    "sts/test_every_authorization.py": "the same law over the operations of STS that callers sign",
    "web/test_recording.py": "record, commit and answer of a request, with a whole broker",
}
GENERATED = ("protocol/shapes/",)
# Class names that more than one module defines, each with its reason.
SHARED_CLASS_NAMES: dict[str, str] = {}
# Names that nothing in broker/ or scripts/ uses, each with its reason.
UNUSED: dict[str, str] = {}

SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def by_hand() -> Iterator[Path]:
    return (path for path in SOURCES if not name(path).startswith(GENERATED))


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def words(path: Path, pattern: str) -> list[str]:
    """`FILE:LINE` of every match of `pattern` in the text."""
    lines = path.read_text("utf-8").splitlines()
    return [f"{name(path)}:{number}" for number, line in enumerate(lines, 1) if re.search(pattern, line)]


def test_files_stay_small():
    lengths = {name(path): len(path.read_text("utf-8").splitlines()) for path in by_hand()}
    too_long = {file for file, length in lengths.items() if length > LONGEST_FILE}
    assert too_long == LONG_FILES.keys(), (
        "split it, or name it with a reason (or drop an exception no longer needed)"
    )


def test_functions_stay_small():
    too_long = {
        f"{name(path)}:{function.name}"
        for path in by_hand()
        for function in functions_of(path)
        if lines_of(function) > LONGEST_FUNCTION
    }
    assert too_long == LONG_FUNCTIONS.keys(), "split it, or name it with a reason (or drop an exception)"


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Those of the body: a signature with a line for each argument is no work to read."""
    return (function.end_lineno or 0) - function.body[0].lineno + 1


def test_nothing_is_left_to_do():
    pattern = r"\b(NotImplementedError|TODO|FIXME|XXX|HACK)\b"
    assert [place for path in SOURCES for place in words(path, pattern)] == []


def test_only_the_composition_root_reads_the_clock_and_draws_entropy():
    pattern = r"\b(datetime\.(now|utcnow|today)|date\.today|time\.time(_ns)?|os\.urandom|os\.getrandom)\("
    assert [place for path in SOURCES if name(path) != "system.py" for place in words(path, pattern)] == []
    assert words(PACKAGE / "system.py", pattern), "the pattern finds what it is looking for"


def test_only_the_composition_root_names_engines():
    allowed = {
        "app/backup.py",
        "app/compose.py",
        "storage/redis.py",
        "storage/redis_backup.py",
        "storage/sqlite.py",
    }
    pattern = r"\b(SqliteEngine|RedisEngine|storage\.sqlite|storage\.redis)\b"
    assert [place for path in SOURCES if name(path) not in allowed for place in words(path, pattern)] == []


def test_federation_is_no_http_server():
    pattern = r"aiohttp(\.web| import .*\bweb\b)"
    assert [place for path in SOURCES if "federation/" in name(path) for place in words(path, pattern)] == []


def test_commands_alone_print():
    printing = {
        f"{name(path)}:{node.lineno}"
        for path in SOURCES
        if not name(path).startswith(("commands/", "__main__"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing == set()


def test_every_package_says_what_it_owns():
    silent = [name(path) for path in SOURCES if path.name == "__init__.py" and not docstring_of(path)]
    assert silent == []


def test_every_file_begins_with_what_it_is():
    assert [name(path) for path in by_hand() if not docstring_of(path)] == []


def docstring_of(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


def test_a_class_name_belongs_to_one_module():
    """One name, one idea. Generated shapes are left out: their names are AWS's, and they are used through a module."""
    modules: dict[str, set[str]] = {}
    for path in by_hand():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                modules.setdefault(node.name, set()).add(name(path))
    shared = {one: sorted(where) for one, where in modules.items() if len(where) > 1}
    assert shared.keys() == SHARED_CLASS_NAMES.keys(), (
        f"rename one, or name it with a reason (or drop an exception no longer needed): {shared}"
    )


def test_no_class_is_called_manager():
    # A service is a noun of AWS's.
    pattern = r"^\s*(class \w*(Manager|Helper|Utils?|Base)\b|(async )?def _?(do|handle)_)"
    assert [place for path in by_hand() for place in words(path, pattern)] == []


def test_exceptions_are_caught_blindly_by_outermost_handlers_only():
    """`except Exception` belongs to request handlers, background tasks that must go on, and the end of a process."""
    allowed = {
        "__main__.py",
        "agent/answering.py",
        "commands/admin_socket.py",
        "web/requests.py",
        "web/authzen.py",
        "web/forward.py",
        "web/forward_sign_in.py",
        "web/scim.py",
        "web/stores.py",
        "web/token_endpoint.py",
        "web/metadata.py",
        "app/repeating.py",
        "gateway/requests.py",
        "portal/application.py",
    }
    pattern = r"^\s*except (Base)?Exception\b.*:"
    blind = {
        place
        for path in SOURCES
        if name(path) not in allowed
        for place in words(path, pattern)
        if not is_raised_again(path, int(place.rpartition(":")[2]))
    }
    assert {place.partition(":")[0] for place in blind} <= {"commands/workers.py"}


def is_raised_again(path: Path, line: int) -> bool:
    """Whether the handler that begins at `line` ends with a bare `raise`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ExceptHandler) and node.lineno == line:
            last = node.body[-1]
            return isinstance(last, ast.Raise)
    raise AssertionError(f"{path}:{line} is no handler")


def test_unit_tests_are_named_after_what_they_test():
    """tests/unit/PACKAGE/test_FILE.py tests broker/PACKAGE/FILE.py, or (test_FILE_ASPECT.py) an aspect of it."""
    tests = ROOT / "tests" / "unit"
    strays = []
    for path in sorted(tests.rglob("test_*.py")):
        package = path.parent.relative_to(tests)
        subject = path.stem.removeprefix("test_")
        room = PACKAGE / package
        known = {one.stem for one in room.rglob("*.py")} | {
            one.name for one in room.iterdir() if one.is_dir()
        }
        is_named = any(f"{subject}_".startswith(f"{one}_") for one in known)
        if not is_named and path.relative_to(tests).as_posix() not in TESTS_OF_SEVERAL:
            strays.append(path.relative_to(tests).as_posix())
    assert strays == [], "name it after a file, or say in TESTS_OF_SEVERAL what it is about"


def declares_operations(path: Path) -> bool:
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id in ("operation", "page_operation")
        for function in functions_of(path)
        for decorator in function.decorator_list
    )


# Each room that declares operations, and its files that do.
DECLARING: dict[Path, set[str]] = {}
for source in SOURCES:
    if declares_operations(source):
        DECLARING.setdefault(source.parent, set()).add(source.stem)


@pytest.mark.parametrize("room", DECLARING, ids=lambda room: room.name)
def test_every_file_that_declares_an_operation_is_imported_by_its_room(room: Path):
    package = f"broker.{room.relative_to(PACKAGE).as_posix().replace('/', '.')}"
    tree = ast.parse((room / "__init__.py").read_text("utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == package
        for alias in node.names
    }
    assert imported == DECLARING[room], "an operation in a file that is not imported does not exist"


def test_the_composition_root_imports_every_room_that_declares_operations():
    assert len(DECLARING) >= 3
    tree = ast.parse((PACKAGE / "app" / "compose.py").read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {f"broker.{room.name}" for room in DECLARING} <= imported, "its operations do not exist"


def names_defined_by(path: Path) -> Iterator[str]:
    """The functions, classes and constants of a module; not its operations, which their decorator hands on."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not any("operation" in ast.unparse(one) for one in node.decorator_list):
                yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (one for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))
            yield from (one.id for one in names if one.id != "__all__")


def names_used_in(text: str) -> set[str]:
    """The names that are read in a program, as they stand or as attributes; in another text, its words."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return set(re.findall(r"\w+", text))
    read = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return read | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_nothing_is_there_that_only_tests_use():
    scripts = [path for path in (ROOT / "scripts").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    used = set().union(*(names_used_in(path.read_text("utf-8")) for path in [*SOURCES, *scripts]))
    unused = {
        f"{name(path)}:{one}" for path in by_hand() for one in names_defined_by(path) if one not in used
    }
    assert unused == UNUSED.keys(), (
        "delete it, or name it with a reason (or drop an exception no longer needed)"
    )


def imports_of(path: Path, files: dict[str, Path]) -> set[Path]:
    """The files of the package that `path` imports, wherever in it and for whatever: for types alone, too."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: import it by its whole name"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= members if members <= files.keys() else members | {node.module or ""}
    return {files[module] for module in imported & files.keys()}


def circle_in(imports: dict[str, set[str]]) -> list[str]:
    """Files of which each imports the next one, and the last one the first; empty where there is no circle."""
    done: set[str] = set()

    def search(file: str, way: list[str]) -> list[str]:
        if file in way:
            return way[way.index(file) :]
        for following in sorted(imports[file] - done):
            if circle := search(following, [*way, file]):
                return circle
        done.add(file)
        return []

    return next(filter(None, (search(file, []) for file in sorted(imports) if file not in done)), [])


def test_the_search_finds_a_circle():
    assert circle_in({"a": {"b"}, "b": {"c", "d"}, "c": {"d"}, "d": set()}) == []
    assert circle_in({"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}) == ["b", "c"]


def test_no_circle_of_files_import_each_other():
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in SOURCES
    }
    imports = {name(path): {name(one) for one in imports_of(path, files)} for path in SOURCES}
    assert imports["web/server.py"] >= {"web/connection.py", "web/http.py"}, "the imports are found"
    assert circle_in(imports) == [], "what two files need of each other belongs into a third"


def test_tests_have_no_packages():
    """The tests' modules are found by path (--import-mode=importlib)."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_scripts_can_be_run_or_are_sourced():
    sourced = {"ansible", "environment", "aws-cli-2", "aws-sdk-js", "axe-core", "helm", "oidc-provider"}
    for path in sorted((ROOT / "scripts").iterdir()):
        if path.is_dir():
            continue
        first = path.read_text("utf-8").splitlines()[0]
        if path.name in sourced:
            assert first.startswith("# Sourced"), f"{path.name} does not say that it is sourced"
        else:
            assert os.access(path, os.X_OK), f"{path.name} cannot be run"
            assert first.startswith("#!/usr/bin/env "), f"{path.name} does not say what runs it"


def test_ci_runs_what_everybody_runs():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    steps = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert [step for step in steps if step.startswith("scripts/")] == ["scripts/check", "scripts/test"]


def test_the_readme_names_every_package_that_the_tests_need():
    script = (ROOT / "scripts" / "test").read_text("utf-8")
    packages = {name for names in re.findall(r"missing\+=\(([^)]+)\)", script) for name in names.split()}
    said = (ROOT / "README.md").read_text("utf-8").partition("installs what the tests need (")[2]
    named = set(re.findall(r"[a-z0-9-]+", said.partition("as root")[0]))
    assert len(packages) > 10
    assert packages - named == set()


def test_the_readme_lists_exactly_the_operations_that_work():
    script = [sys.executable, str(ROOT / "scripts" / "list-operations"), "--check"]
    checked = subprocess.run(script, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "broker").glob("*/")), ids=lambda path: path.name)
def test_every_room_is_on_the_map(path: Path):
    if path.name != "__pycache__":
        assert re.search(rf"\b{path.name}\b", docstring_of(PACKAGE / "__init__.py")), (
            "broker/__init__.py lacks it"
        )
