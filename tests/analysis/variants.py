"""The same program in another dress: what an analysis of its strategies must not see. Each is a function of a text."""

import ast
import builtins
import re


def renamed(text: str) -> str:
    """Parameters and local variables of every function under other names."""
    return ast.unparse(ast.fix_missing_locations(_Renamed().visit(ast.parse(text))))


def reordered(text: str) -> str:
    """Functions and methods in the reverse order; what runs at import, and class bodies' other statements, stay in front."""
    tree = ast.parse(text)
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    scopes: list[ast.Module | ast.ClassDef] = [tree, *classes]
    for node in scopes:
        functions: list[ast.stmt] = [entry for entry in node.body if isinstance(entry, ast.FunctionDef)]
        node.body = [entry for entry in node.body if entry not in functions] + functions[::-1]
    return ast.unparse(tree) + "\n\n# reordered\n"


def reformatted(text: str) -> str:
    """Another layout: no comments, other quotes and line breaks, more space in brackets."""
    return re.sub(r"\((?=\S)", "( ", ast.unparse(ast.parse(text))).replace("\n\n", "\n") + "\n\n"


def commented(text: str) -> str:
    """Comments and docstrings that speak of other strategies."""
    note = "# torch.cdist, numpy.bincount(x), x.std(0) and torch.where(a, b, c) are not used here\n"
    said = ast.unparse(_Docstrings().visit(ast.parse(text)))
    return note + said + "\n" + note


def annotated(text: str) -> str:
    """Types at parameters, results and variables."""
    return ast.unparse(ast.fix_missing_locations(_Annotated().visit(ast.parse(text)))) + "\n\n# annotated\n"


def aliased(text: str) -> str:
    """Modules under other names, each name of `from a import b` under another one, too."""
    return ast.unparse(ast.fix_missing_locations(_Aliased().visit(ast.parse(text))))


def wrapped(text: str) -> str:
    """Calls of library functions with plain arguments go through helpers of one line."""
    tree = ast.parse(text)
    wrapper = _Wrapped(tree)
    changed = wrapper.visit(tree)
    imports = [entry for entry in changed.body if isinstance(entry, ast.Import | ast.ImportFrom)]
    rest = [entry for entry in changed.body if entry not in imports]
    changed.body = [*imports, *wrapper.helpers, *rest]
    return ast.unparse(ast.fix_missing_locations(changed)) + "\n\n# wrapped\n"


VARIANTS = (renamed, reordered, reformatted, commented, annotated, aliased, wrapped)


class _Renamed(ast.NodeTransformer):
    def __init__(self) -> None:
        self.names: list[dict[str, str]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        arguments = [*node.args.posonlyargs, *node.args.args]
        stored = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        own = dict.fromkeys([argument.arg for argument in arguments if argument.arg != "self"] + stored)
        froms = [entry for entry in ast.walk(node) if isinstance(entry, ast.ImportFrom)]
        imported = {alias.asname or alias.name for entry in froms for alias in entry.names}
        outer = self.names[-1] if self.names else {}
        self.names.append(outer | {name: f"{name}_other" for name in own if name not in imported})
        for argument in arguments:
            argument.arg = self.names[-1].get(argument.arg, argument.arg)
        self.generic_visit(node)
        self.names.pop()
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.names[-1].get(node.id, node.id) if self.names else node.id
        return node


class _Docstrings(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.body = [ast.Expr(ast.Constant("Not torch.cdist(x, x), and no StandardScaler().")), *node.body]
        return node


class _Annotated(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = ast.Constant("object")
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg, ast.Constant("object"))

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            return ast.AnnAssign(node.targets[0], ast.Constant("object"), node.value, simple=1)
        return node


class _Aliased(ast.NodeTransformer):
    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def visit_Import(self, node: ast.Import) -> ast.Import:
        for alias in node.names:
            if alias.asname or "." not in alias.name:
                self.names[alias.asname or alias.name] = f"lib_{alias.asname or alias.name}"
                alias.asname = f"lib_{alias.asname or alias.name}"
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        for alias in node.names:
            self.names[alias.asname or alias.name] = f"lib_{alias.asname or alias.name}"
            alias.asname = f"lib_{alias.asname or alias.name}"
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.names.get(node.id, node.id)
        return node


class _Wrapped(ast.NodeTransformer):
    """Calls of a module's function by positional arguments that are names."""

    def __init__(self, tree: ast.Module) -> None:
        bound = {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        self.modules = {name for name in bound if "." not in name}
        self.helpers: list[ast.stmt] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        root, func = node.func, node.func
        while isinstance(root, ast.Attribute):
            root = root.value
        ours = isinstance(root, ast.Name) and root.id in self.modules and isinstance(func, ast.Attribute)
        if not ours or not node.args or not all(isinstance(argument, ast.Name) for argument in node.args):
            return node
        if any(hasattr(builtins, argument.id) for argument in node.args if isinstance(argument, ast.Name)):
            return node
        names = [f"argument_{place}" for place in range(len(node.args))]
        if any(not isinstance(keyword.value, ast.Constant) for keyword in node.keywords):
            return node
        call = ast.Call(func, [ast.Name(name, ast.Load()) for name in names], node.keywords)
        helper = ast.parse(f"def helper_{len(self.helpers)}({', '.join(names)}): return {ast.unparse(call)}").body[0]
        self.helpers.append(helper)
        return ast.Call(ast.Name(f"helper_{len(self.helpers) - 1}", ast.Load()), node.args, [])
