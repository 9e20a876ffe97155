"""The shape of the code: who imports whom, how long files and functions are, what is documented, which settings are read.

All of it is read from the source text, so a breach is named with its file and line.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import ghostpad
from ghostpad import _FOLDERS as FOLDERS

ROOT = Path(ghostpad.__file__).parent
FILE_LINES, FUNCTION_LINES, FOLDER_FILES, CLI_LINES = 400, 60, 16, 2000
ONE_OF_A_KIND = {"cli", "filters", "games"}
"""Folders in which every file is one of a kind: a command, a filter, a game."""
TORCH_FREE = FOLDERS[: FOLDERS.index("feed")]

FunctionNode = (ast.FunctionDef, ast.AsyncFunctionDef)
Trees = Mapping[Path, ast.Module]


def parsed(root: Path) -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(root.rglob("*.py"))}


def module_name(path: Path, root: Path = ROOT) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = parsed(ROOT)
MODULES = {module_name(path): path for path in TREES}


def place(path: Path, node: ast.AST | None = None) -> str:
    return f"{path}:{getattr(node, 'lineno', 1)}".removeprefix(f"{ROOT.parent}/")


def imports(path: Path, trees: Trees = TREES, root: Path = ROOT) -> Iterator[tuple[str, ast.AST]]:
    """Every module that a file imports anywhere: inside functions, under TYPE_CHECKING, and by a name in a string.

    A string counts that begins with "ghostpad." and goes on as a folder of ours, whole or the beginning of an f-string: that is how a
    module is imported, or a class looked up, behind the back of the import law. Docstrings do not count.
    """
    name = module_name(path, root)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    modules = {module_name(other, root) for other in trees}
    words = {id(node.value) for node in ast.walk(trees[path]) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    for node in ast.walk(trees[path]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield (inner if inner in modules else base), node
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in words:
            parts = node.value.replace(":", ".").split(".")
            if parts[0] == "ghostpad" and len(parts) > 1 and parts[1] in FOLDERS:
                yield node.value.rstrip("."), node


def folder(module: str) -> str | None:
    """The folder of one of our modules; None for the package's own two files."""
    name = module.split(".")[1] if module.count(".") else ""
    return name if name in FOLDERS else None


def breaches_of_the_order(trees: Trees = TREES, root: Path = ROOT) -> list[str]:
    """Imports that go up the order; also every import of the laboratory from outside it, the package's own files included."""
    found = []
    for path in trees:
        own = folder(module_name(path, root))
        for target, node in imports(path, trees, root):
            wanted = folder(target) if target.startswith("ghostpad.") else None
            if wanted and own and FOLDERS.index(wanted) > FOLDERS.index(own):
                found.append(f"{place(path, node)} imports {target}, but {wanted}/ comes after {own}/")
            elif wanted == "lab" and own is None:
                found.append(f"{place(path, node)} imports {target}, but nothing outside lab/ may")
    return found


def ring(trees: Trees = TREES, root: Path = ROOT) -> str | None:
    """Files that import each other in a ring, None if there are none."""
    modules = {module_name(path, root): path for path in trees}
    graph = {
        name: {target for target, _ in imports(path, trees, root) if target in modules and target != name} for name, path in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(error.args[1])
    return None


def test_every_folder_stands_in_the_order() -> None:
    on_disk = {path.parent.relative_to(ROOT).parts[0] for path in TREES if path.parent != ROOT}
    assert on_disk <= set(FOLDERS), f"not in ghostpad._FOLDERS: {on_disk - set(FOLDERS)}"
    assert {path.name for path in TREES if path.parent == ROOT} == {"__init__.py", "__main__.py"}


def test_imports_point_to_the_same_or_an_earlier_folder_and_never_to_the_laboratory() -> None:
    found = breaches_of_the_order()
    assert not found, "\n".join(found)


def test_no_files_import_each_other_in_a_ring() -> None:
    assert (found := ring()) is None, f"ring: {found}"


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("base/pad.py", "from ghostpad.corpus import folder"),
        ("train/model.py", "def find():\n    from ghostpad.idm.model import Idm"),
        ("train/model.py", 'KINDS = {"idm": ("ghostpad.idm.model", "Idm")}'),
        ("train/model.py", 'def find(kind):\n    return import_module(f"ghostpad.policy.{kind}")'),
        ("cli/demo.py", 'import_module("ghostpad.lab.main")'),
        ("__main__.py", "from ghostpad.lab.main import main"),
        ("policy/play.py", "from ..view import clip"),
    ],
)
def test_a_planted_breach_is_found(file: str, line: str, tmp_path: Path) -> None:
    root = tmp_path / "ghostpad"
    for path in {"__init__.py", file, *(f"{name}/__init__.py" for name in FOLDERS), "corpus/folder.py", "idm/model.py", "view/clip.py"}:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(line if path == file else "")
    (found,) = breaches_of_the_order(parsed(root), root)
    assert file in found


def test_a_planted_ring_is_found(tmp_path: Path) -> None:
    root = tmp_path / "ghostpad"
    (root / "base").mkdir(parents=True)
    (root / "base" / "one.py").write_text("from ghostpad.base import two")
    (root / "base" / "two.py").write_text('LATER = "ghostpad.base.one"')
    assert ring(parsed(root), root) is not None


def test_no_folder_holds_more_files_than_a_newcomer_can_take_in() -> None:
    folders: dict[Path, int] = {}
    for path in ROOT.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            folders[path.parent] = folders.get(path.parent, 0) + 1
    crowded = {
        str(where.relative_to(ROOT)): count for where, count in folders.items() if count > FOLDER_FILES and where.name not in ONE_OF_A_KIND
    }
    assert not crowded


def test_commands_stay_thin() -> None:
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "cli").glob("*.py")) <= CLI_LINES


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
