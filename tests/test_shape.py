"""The shape of the code: who imports whom, how long files and functions are, what is documented, which settings are read.

All of it is read from the source text, so a breach is named with its file and line.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import ghostpad
from ghostpad import FOLDERS

ROOT = Path(ghostpad.__file__).parent
FILE_LINES, FUNCTION_LINES = 400, 60
TORCH_FREE = FOLDERS[: FOLDERS.index("feed")]

FunctionNode = (ast.FunctionDef, ast.AsyncFunctionDef)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}
MODULES = {module_name(path): path for path in TREES}


def place(path: Path, node: ast.AST | None = None) -> str:
    return f"{path.relative_to(ROOT.parent)}:{getattr(node, 'lineno', 1)}"


def imports(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Every module that a file imports anywhere: inside functions, under TYPE_CHECKING, or by a string to `import_module`."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield (inner if inner in MODULES else base), node
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func) and node.args:
            text = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield text.value.rstrip("."), node


def folder(module: str) -> str | None:
    """The folder of one of our modules; None for the package's own two files."""
    name = module.split(".")[1] if module.count(".") else ""
    return name if name in FOLDERS else None


def test_every_folder_stands_in_the_order() -> None:
    on_disk = {path.parent.relative_to(ROOT).parts[0] for path in TREES if path.parent != ROOT}
    assert on_disk <= set(FOLDERS), f"not in ghostpad.FOLDERS: {on_disk - set(FOLDERS)}"
    assert {path.name for path in TREES if path.parent == ROOT} == {"__init__.py", "__main__.py"}


def test_imports_point_to_the_same_or_an_earlier_folder() -> None:
    breaches = []
    for path in TREES:
        own = folder(module_name(path))
        for target, node in imports(path):
            wanted = folder(target) if target.startswith("ghostpad.") else None
            if own and wanted and FOLDERS.index(wanted) > FOLDERS.index(own):
                breaches.append(f"{place(path, node)} imports {target}, but {wanted}/ comes after {own}/")
    assert not breaches, "\n".join(breaches)


def test_no_files_import_each_other_in_a_ring() -> None:
    graph = {name: {target for target, _ in imports(path) if target in MODULES and target != name} for name, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"ring: {' -> '.join(error.args[1])}")


def test_files_and_functions_stay_short() -> None:
    breaches = []
    for path, tree in TREES.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES:
            breaches.append(f"{place(path)} has {lines} lines, the limit is {FILE_LINES}")
        for node in ast.walk(tree):
            if isinstance(node, FunctionNode):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    breaches.append(f"{place(path, node)} {node.name} has {lines} lines, the limit is {FUNCTION_LINES}")
    assert not breaches, "\n".join(breaches)


def undocumented(body: list[ast.stmt], lines: list[str], where: str = "") -> Iterator[tuple[ast.stmt, str]]:
    """Public classes, functions and constants of a module, and public methods of its classes, that nothing describes.

    A constant is described by a string below it or by a comment behind it.
    """
    for index, node in enumerate(body):
        if isinstance(node, (ast.ClassDef, *FunctionNode)):
            marks = {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
            if node.name.startswith("_") or marks & {"overload", "override", "setter"}:
                continue
            if not ast.get_docstring(node):
                yield node, where + node.name
            if isinstance(node, ast.ClassDef):
                yield from undocumented([item for item in node.body if isinstance(item, FunctionNode)], lines, f"{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            following = body[index + 1] if index + 1 < len(body) else None
            described = (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)) or "  # " in lines[node.lineno - 1]
            is_type_variable = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in {"TypeVar", "ParamSpec"}
            if isinstance(target, ast.Name) and not target.id.startswith("_") and not described and not is_type_variable:
                yield node, target.id


def overrides(tree: ast.Module, name: str) -> bool:
    """Whether `Class.method` fills in a method that a base class in this package documents."""
    owner, _, method = name.rpartition(".")
    bases = {
        ast.unparse(base).partition("[")[0]
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == owner
        for base in node.bases
    }
    return bool(owner) and any(
        isinstance(node, ast.ClassDef)
        and node.name in bases
        and any(isinstance(item, FunctionNode) and item.name == method for item in node.body)
        for other in TREES.values()
        for node in other.body
    )


def test_every_file_and_public_name_says_what_it_is() -> None:
    breaches = [f"{place(path)} does not open with a docstring" for path, tree in TREES.items() if not ast.get_docstring(tree)]
    for path, tree in TREES.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        bare = [(node, name) for node, name in undocumented(tree.body, lines) if not overrides(tree, name)]
        breaches += [f"{place(path, node)} {name} has no docstring" for node, name in bare]
    assert not breaches, "\n".join(breaches)


def test_no_file_imports_torchvision() -> None:
    """A torchvision from the registry breaks a CPU build of torch, and transformers imports it wherever it is found."""
    found = [place(path, node) for path in TREES for name, node in imports(path) if name.split(".")[0] == "torchvision"]
    assert not found, "\n".join(found)


def test_early_folders_do_not_name_torch() -> None:
    found = [
        place(path, node)
        for path in TREES
        if folder(module_name(path)) in TORCH_FREE
        for name, node in imports(path)
        if name.split(".")[0] == "torch"
    ]
    assert not found, "\n".join(found)


def loaded_after(code: str) -> set[str]:
    """The top-level modules that are loaded in a fresh process after `code`."""
    listing = "\nimport sys; print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code + listing], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_early_folders_load_without_torch() -> None:
    early = [name for name in MODULES if folder(name) in TORCH_FREE]
    assert "torch" not in loaded_after("\n".join(f"import {name}" for name in early))


def test_the_list_of_commands_loads_no_library() -> None:
    loaded = loaded_after("from ghostpad.cli.main import main; main(['--help'])")
    assert not loaded & {"torch", "tyro", "pydantic", "numpy", "pyarrow", "rich", "av"}


def settings_classes() -> dict[str, tuple[Path, ast.ClassDef]]:
    """Every class that is a `Settings`, directly or through another one, by name."""
    classes = {node.name: (path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found = {"Settings"}
    while True:
        new = {name for name, (_, node) in classes.items() if {ast.unparse(base).rpartition(".")[2] for base in node.bases} & found} - found
        if not new:
            return {name: classes[name] for name in found - {"Settings"}}
        found |= new


def is_validator(node: ast.AST) -> bool:
    return isinstance(node, FunctionNode) and any("validator" in ast.unparse(mark) for mark in node.decorator_list)


def attributes_read(node: ast.AST) -> Iterator[str]:
    """Every `.name` that is read below a node, validators left out: checking a setting is not using it."""
    for child in ast.iter_child_nodes(node):
        if is_validator(child):
            continue
        if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Load):
            yield child.attr
        yield from attributes_read(child)


def test_every_setting_is_read_by_some_code() -> None:
    read = {name for tree in TREES.values() for name in attributes_read(tree)}
    breaches = [
        f"{place(path, item)} nothing reads {name}.{item.target.id}"
        for name, (path, node) in settings_classes().items()
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id not in read
        if "ClassVar" not in ast.unparse(item.annotation)
    ]
    assert not breaches, "\n".join(breaches)
