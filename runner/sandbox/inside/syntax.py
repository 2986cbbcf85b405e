"""A source without its names, order and form: how often each shape of a piece of syntax stands in it.

What a file calls its own (variables, functions, classes, methods, attributes that it binds) becomes `_`; what comes from a
module is written out in full, whatever it was imported as; docstrings and annotations are left out. A shape is a node with
its children and theirs, by hash. So renaming, moving functions about, another layout or an alias change nothing.
"""

import ast
import builtins
import hashlib

SHAPES_MAX = 20000  # chosen: a file of 256 KiB has fewer
EXCERPT_MAX = 200  # chosen: characters of a match, some lines
TEXT_MAX = 40  # chosen: of a number or an operator's name
BUILTINS = frozenset(dir(builtins))


def modules_of(tree):
    """The dotted name behind every name that an import binds."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = node.module + "." + alias.name
    return found


def own_names(tree):
    """Attributes, methods, functions and classes that the file itself binds."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


class Shapes:
    """Counts the shapes of one tree."""

    def __init__(self, tree):
        self.modules, self.own, self.counts = modules_of(tree), own_names(tree), {}
        self.walk(tree)

    def walk(self, tree):
        """Every node, without recursion: a tree may be deep."""
        waiting = [tree]
        while waiting:
            node = waiting.pop()
            children = self.children(node)
            waiting.extend(children)
            if isinstance(node, (ast.stmt, ast.expr)):
                text = self.label(node) + "(" + ",".join(map(self.below, children)) + ")"
                key = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
                if key in self.counts or len(self.counts) < SHAPES_MAX:
                    self.counts[key] = self.counts.get(key, 0) + 1

    def below(self, node):
        return self.label(node) + "(" + ",".join(map(self.label, self.children(node))) + ")"

    def children(self, node):
        """The nodes under a node, in order, without docstrings, annotations, contexts and imports."""
        if self.dotted(node):
            return []
        found = []
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "ctx", "type_comment", "decorator_list"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not isinstance(child, (ast.Import, ast.ImportFrom)):
                    found.append(child)
        if found and isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found = [child for child in found if not is_text(child)]
        return found

    def dotted(self, node):
        """numpy.linalg.norm behind np.linalg.norm; empty where it is no module's."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in self.modules:
            return ".".join([self.modules[node.id], *reversed(parts)])
        return ""

    def label(self, node):
        dotted = self.dotted(node)
        if dotted:
            return dotted
        kind = type(node).__name__
        if isinstance(node, ast.Name):
            return node.id if node.id in BUILTINS else "_"
        if isinstance(node, ast.Attribute):
            return "." + ("_" if node.attr in self.own else node.attr)
        if isinstance(node, ast.Constant):
            return (
                kind
                + ":"
                + (type(node.value).__name__ if isinstance(node.value, (str, bytes)) else repr(node.value)[:TEXT_MAX])
            )
        if isinstance(node, ast.keyword):
            return kind + ":" + str(node.arg)[:TEXT_MAX]
        return kind


def is_text(node):
    """A docstring, or another text that stands for itself."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


class Canonical(ast.NodeTransformer):
    """Names from modules written out in full, whatever they were imported as."""

    def __init__(self, tree):
        self.modules = modules_of(tree)

    def visit_Name(self, node):
        dotted = self.modules.get(node.id)
        if dotted is None or not isinstance(node.ctx, ast.Load):
            return node
        found = ast.Name(dotted.split(".")[0], ast.Load())
        for part in dotted.split(".")[1:]:
            found = ast.Attribute(found, part, ast.Load())
        return found


def matches_of(tree, rules):
    """Where each rule of ast-grep is found in the canonical text: the first place, cut; None where ast-grep is missing."""
    if not rules:
        return {}
    try:
        from ast_grep_py import SgRoot
    except ImportError:
        return None
    root = SgRoot(ast.unparse(Canonical(tree).visit(tree)), "python").root()
    found = {}
    for name, rule in rules.items():
        node = root.find(**rule)
        if node is not None:
            found[name] = node.text()[:EXCERPT_MAX]
    return found


def syntax_of(source, rules=None):
    """{"lines", "shapes", "matches"}, or {"error"}."""
    lines = source.count(b"\n") + (not source.endswith(b"\n") and bool(source))
    try:
        tree = ast.parse(source)
        return {"lines": lines, "shapes": Shapes(tree).counts, "matches": matches_of(tree, rules)}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return {"lines": lines, "error": ("%s: %s" % (type(error).__name__, error))[:300]}
