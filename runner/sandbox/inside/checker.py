"""Parses a submission inside a sandbox and reports facts about its text.

The host never parses untrusted source. What comes back is advice to the judge: lists of names, whole unless they outgrow
the bytes that the host gives them, and then the report says which were cut. It is asked for before the file is loaded,
while nothing in the process is hostile yet, and after the task's modules are: what a name stands for is looked up in them,
so that a module reached through another one has its own name in the report.
"""

import ast
import builtins
import importlib
import io
import json
import symtable
import sys
import tokenize
import types
import warnings

# Characters of a name and of a text constant that are kept. chosen, well over any honest name.
NAME_MAX, STRING_MAX = 200, 200
# Names in one expression (`a.b.c`), and what one name may stand for; past them nothing more is looked up. chosen.
DEPTH_MAX, MEANINGS_MAX = 60, 16
# Passes over assignments in which `a = os; b = a.path` becomes known: one a step of such a chain. chosen.
PASSES_MAX = 8
# What can be cut, the lists that a rule rests on first: what comes last is cut first.
LISTS = (
    "imports",
    "standard",
    "names",
    "bound",
    "called",
    "attributes",
    "used",
    "bidi",
    "odd_names",
    "unseen",
    "strings",
)

IMPORTERS = {"__import__", "importlib.import_module", "importlib.__import__"}
BUILTINS = {"builtins", "__builtins__"}
STANDARD = set(getattr(sys, "stdlib_module_names", ()))  # Python 3.8 and 3.9 have no such list
# Of the standard library, what does something when it is imported.
ACTING = {"antigravity", "idlelib", "this", "turtledemo"}


def facts_of(source, bytes_max):
    """Facts about a text as Python reads it: from its bytes, byte order mark and declared encoding included."""
    why_not = compile_error(source)
    if why_not:
        return why_not
    try:
        return within(all_facts(source), bytes_max)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        # It compiles, so it runs: only that it cannot be taken apart here.
        return {"unread": ("%s: %s" % (type(error).__name__, error))[:500]}


def compile_error(source):
    """Why it cannot be compiled, as the report says it; None where it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "submission", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        if b"\0" in source:
            return {"text": "it holds a NUL byte"}
        kind = "syntax" if is_text(source) else "text"
        return {kind: ("%s: %s" % (type(error).__name__, error))[:500]}
    return None


def is_text(source):
    try:
        decoded(source)
    except (SyntaxError, LookupError, UnicodeError):
        return False
    return True


def decoded(source):
    """The text, by its byte order mark or the encoding that it declares (PEP 263)."""
    return source.decode(tokenize.detect_encoding(io.BytesIO(source).readline)[0])


def all_facts(source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree, table = ast.parse(source), symtable.symtable(source, "submission", "exec")
    reader = Reader(tree, table)
    imports = reader.imports()
    bidi, odd = hidden_text(source, reader.unseen)
    return {
        "imports": sorted(imports),
        "standard": sorted({root(name) for name in imports} & STANDARD),
        "names": sorted(reader.names()),
        "bound": sorted(reader.bound),
        "called": sorted(reader.called()),
        "attributes": sorted({node.attr for node in reader.nodes if isinstance(node, ast.Attribute)}),
        "used": sorted({n.id for n in reader.nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}),
        "bidi": bidi,
        "odd_names": odd,
        "unseen": sorted(reader.unseen),
        "strings": sorted(strings(reader.nodes)),
        "places": places(tree),
    }


def within(facts, bytes_max):
    """The same facts in at most that many bytes of JSON; what had to be left out is named under `cut`."""
    kept, cut = {"places": {}}, []
    room = bytes_max - 4096  # for keys, brackets and `cut` itself
    for name in LISTS:
        kept[name], room = first_that_fit([shown(entry) for entry in facts[name]], room)
        if len(kept[name]) < len(facts[name]):
            cut.append(name)
    names, _ = first_that_fit(sorted(facts["places"]), room - 16 * len(facts["places"]))
    kept["places"] = {name: facts["places"][name] for name in names}
    return dict(kept, cut=cut)


def shown(entry):
    return entry[:NAME_MAX]


def first_that_fit(entries, room):
    """The entries up to a number of bytes of JSON, and what is left of that number."""
    for count, entry in enumerate(entries):
        room -= len(json.dumps(entry)) + 2
        if room < 0:
            return entries[:count], 0
    return entries, room


def root(name):
    return name.split(".")[0]


def joined(base, name):
    """`base.name`; what lies in the module of the built-in names goes by its own name."""
    return name if base in BUILTINS and name != "__dict__" else shown(base + "." + name)


class Reader:
    """What the names in a text stand for: followed through imports, plain assignments and loaded modules.

    Scopes are not told apart for what is imported: a name that stands for `os` anywhere stands for it everywhere.
    """

    def __init__(self, tree, table):
        self.nodes = list(ast.walk(tree))
        load_standard(self.nodes)
        self.unseen = set()
        self.meanings = {}
        self.builtins = global_names(table) & (BUILTINS | set(dir(builtins)))
        self.bound = bound_at_the_top(table)
        self.follow_imports()
        self.follow_assignments()

    def means(self, name, dotted):
        known = self.meanings.setdefault(name, set())
        if len(known) < MEANINGS_MAX:
            known.add(dotted)
        elif dotted not in known:
            self.unseen.add("what %s stands for: more than %d things" % (shown(name), MEANINGS_MAX))

    def follow_imports(self):
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.means(alias.asname or root(alias.name), alias.name if alias.asname else root(alias.name))
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.name == "*":
                        self.follow_star(node)
                    else:
                        self.means(alias.asname or alias.name, imported_from(node, alias.name))

    def follow_star(self, node):
        public = public_names(node.module) if node.module and not node.level else None
        if public is None:
            self.unseen.add(
                "the names that `from %s import *` binds (line %d)" % (imported_from(node, ""), node.lineno)
            )
        for name in public or ():
            self.bound.add(name)
            self.means(name, joined(node.module, name))

    def follow_assignments(self):
        """`a = os` and `b = a.path`: what stands for what, until nothing is added."""
        pairs = list(assigned(self.nodes))
        for _ in range(PASSES_MAX):
            before = sum(map(len, self.meanings.values()))
            for name, value in pairs:
                for dotted in self.meaning(value):
                    self.means(name, dotted)
            if sum(map(len, self.meanings.values())) == before:
                return
        self.unseen.add("what names stand for that are assigned to one another more than %d times" % PASSES_MAX)

    def meaning(self, node, depth=0):
        """The dotted names that an expression may stand for; empty where nothing is known."""
        if depth > DEPTH_MAX:
            self.unseen.add("what stands behind more than %d dots (line %d)" % (DEPTH_MAX, node.lineno))
            return set()
        if isinstance(node, ast.Name):
            own = {node.id} if node.id in self.builtins else set()
            return own | self.meanings.get(node.id, set())
        if isinstance(node, ast.Attribute):
            return {joined(base, node.attr) for base in self.meaning(node.value, depth + 1)}
        if isinstance(node, ast.Call):
            return self.meaning_of_call(node, depth + 1)
        if isinstance(node, ast.Subscript):
            return self.meaning_of_entry(node, depth + 1)
        return {dotted for part in passed_on(node) for dotted in self.meaning(part, depth + 1)}

    def meaning_of_call(self, node, depth):
        """`getattr(os, "path")`, `vars(os)`, `__import__("os")`."""
        function, given = self.meaning(node.func, depth), [constant(argument) for argument in node.args]
        if function & IMPORTERS:
            module = imported_by_call(node)
            return {module} if module else set()
        if "getattr" in function and len(given) > 1 and given[1]:
            return {joined(base, given[1]) for base in self.meaning(node.args[0], depth)}
        if "vars" in function and given:
            return {joined(base, "__dict__") for base in self.meaning(node.args[0], depth)}
        return set()

    def meaning_of_entry(self, node, depth):
        """`sys.modules["os"]`, `os.__dict__["path"]`."""
        key = constant(node.slice) or constant(getattr(node.slice, "value", None))  # Python 3.8 wraps it in an Index
        if not key:
            return set()
        found = set()
        for base in self.meaning(node.value, depth):
            if base == "sys.modules":
                found.add(key)
            elif base == "__builtins__" or base.endswith(".__dict__"):
                found.add(joined(base[: -len(".__dict__")] if base.endswith(".__dict__") else base, key))
        return found

    def imports(self):
        """What import statements and import functions name: `a.b` for `from a import b`, `a.*` for a star, dots first."""
        found = set()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                found.update(imported_from(node, alias.name) for alias in node.names)
            elif isinstance(node, ast.Call) and self.meaning(node.func) & IMPORTERS:
                found |= self.meaning(node)
        return found | {real_name(name) for name in found if real_name(name) in sys.modules}

    def names(self):
        """Everything known that an expression stands for, as it is written and by the module that it is really in."""
        expressions = (ast.Name, ast.Attribute, ast.Call, ast.Subscript)
        found = {dotted for node in self.nodes if isinstance(node, expressions) for dotted in self.meaning(node)}
        return found | {real_name(dotted) for dotted in found}

    def called(self):
        """What is called."""
        return {d for node in self.nodes if isinstance(node, ast.Call) for d in self.meaning(node.func)}


def imported_from(node, name):
    """What `from module import name` names; a relative import starts with its dots."""
    return "." * node.level + ".".join(part for part in (node.module, name) if part)


def imported_by_call(node):
    """The module that a call of an import function names, or None; dots stay where it is not known from where they lead."""
    given = dict(zip(("name", "package"), node.args), **{each.arg: each.value for each in node.keywords if each.arg})
    name, package = constant(given.get("name")), constant(given.get("package"))
    dots = len(name) - len(name.lstrip(".")) if name else 0
    if not dots or not package or dots > package.count(".") + 1:
        return name
    return ".".join(part for part in [*package.split(".")[: package.count(".") + 2 - dots], name[dots:]] if part)


def passed_on(node):
    """The expressions one of which a compound expression is."""
    if isinstance(node, ast.NamedExpr):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    return node.values if isinstance(node, ast.BoolOp) else []


def load_standard(nodes):
    """Load what a text imports of the standard library, so that names can be followed through it; no other code is run."""
    named = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    named.update(alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names)
    for module in named:
        if root(module) in STANDARD - ACTING:
            try:
                importlib.import_module(module)
            except Exception:  # not on this system, or not in this package: the text's own import will say so
                continue


def public_names(module):
    """What a star import of a module binds; None where it is not loaded."""
    if module not in sys.modules:
        return None
    names = vars(sys.modules[module])
    return list(names.get("__all__") or [name for name in names if not name.startswith("_")])


def real_name(dotted):
    """The same name by the module that it is really in, as far as its modules are loaded: `numpy.f2py.os` is `os`."""
    parts = dotted.split(".")
    at, name = sys.modules.get(parts[0]), parts[0]
    for number, part in enumerate(parts[1:], 1):
        found = vars(at).get(part) if isinstance(at, types.ModuleType) else None
        if not isinstance(found, types.ModuleType):
            return joined(name, ".".join(parts[number:]))
        at, name = found, found.__name__
    return name


def assigned(nodes):
    """Each name with the value that a plain assignment gives it, one by one where several are written side by side."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            yield from (pair for target in node.targets for pair in unpacked(target, node.value))
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value


def unpacked(target, value):
    """Each name of a target with its part of the value, as far as both are written out."""
    waiting = [(target, value)]
    while waiting:
        target, value = waiting.pop()
        if isinstance(target, ast.Name):
            yield target.id, value
        elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
            if len(target.elts) == len(value.elts):
                waiting.extend(zip(target.elts, value.elts))


def constant(node):
    """The text of a text constant; None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def scopes(table):
    waiting = [table]
    while waiting:
        scope = waiting.pop()
        waiting.extend(scope.get_children())
        yield scope


def global_names(table):
    """Names that are read and may be the builtin ones: in no function's own scope."""
    return {
        symbol.get_name()
        for scope in scopes(table)
        for symbol in scope.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or scope.get_type() in ("module", "class"))
    }


def bound_at_the_top(table):
    """Names that the module binds, wherever the statement stands: in a block, by unpacking, as a function's global."""
    return {
        symbol.get_name()
        for scope in scopes(table)
        for symbol in scope.get_symbols()
        if (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace())
        and (scope is table or symbol.is_declared_global())
    }


def places(tree):
    """The lines on which classes and their methods begin (`Name`, `Name.method`)."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found.setdefault(shown(node.name), node.lineno)
            for child in node.body:
                if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found.setdefault(shown(node.name + "." + child.name), child.lineno)
    return found


# Characters that turn the direction of the text after them (Boucher and Anderson, 2021, "Trojan Source"). The marks
# U+200E, U+200F and U+061C turn nothing, and stand in ordinary Hebrew and Arabic.
BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def hidden_text(source, unseen):
    """What a reader would not see: characters of direction, and names with letters that look like others."""
    text = decoded(source) if is_text(source) else source.decode("utf-8", "replace")
    found = sorted({"U+%04X" % ord(char) for char in text if char in BIDI})
    try:
        tokens = list(tokenize.tokenize(io.BytesIO(source).readline))
    except (tokenize.TokenError, SyntaxError, UnicodeError):
        # A comment may hold bytes that are not text: Python compiles it, and its own tokenizer does not take it.
        unseen.add("the letters that its names are written in")
        tokens = []
    return found, sorted({t.string for t in tokens if t.type == tokenize.NAME and not t.string.isascii()})


def strings(nodes):
    """Text constants, docstrings included; of a long one its beginning."""
    return {node.value[:STRING_MAX] for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
