"""A source without its names, order and form: how often each shape of a piece of syntax stands in it.

What a file calls its own (variables, functions, classes, methods, attributes that it binds) becomes `_`; what comes from a
module is written out in full, whatever it was imported as; docstrings and annotations are left out. A shape is a node with
its children and theirs, by hash. So renaming, moving functions about, another layout or an alias change nothing.
"""

import ast
import builtins
import hashlib
import re
import textwrap

SHAPES_MAX = 20000  # chosen: a file of 256 KiB has fewer
EXCERPT_MAX = 200  # chosen: characters of a match, some lines
REGION_MAX = 400  # chosen: shapes of one function; a long one has some hundred
REFUSAL_MAX = 200  # characters of what ast-grep says of a rule; chosen: two lines
TEXT_MAX = 40  # chosen: of a number or an operator's name
INTEGER_BITS_MAX = 4096  # chosen: more than a constant that is looked at; far under what Python writes in decimals
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
        if isinstance(node, ast.ClassDef):
            found.update(inner.id for inner in own_nodes(node) if is_bound_here(inner))
    return found


def is_bound_here(node):
    return isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)


def module_aliases(tree, modules):
    """(the dotted names behind names that are bound once, to what comes from a module; the assignments that bind them)."""
    bound, plain = {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            bound[node.arg] = bound.get(node.arg, 0) + 1
        elif is_bound_here(node):
            bound[node.id] = bound.get(node.id, 0) + 1
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            bound.update(dict.fromkeys(node.names, 2))
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            plain.append(node)
    found, statements = dict(modules), set()
    for _ in range(PASSES):
        for node in plain:
            name, dotted = node.targets[0].id, dotted_name(node.value, found)
            if dotted and bound[name] == 1 and name not in modules:
                found[name] = dotted
                statements.add(node)
    return found, statements


def dotted_name(node, modules):
    """numpy.linalg.norm behind np.linalg.norm; empty where it is no module's."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id in modules:
        return ".".join([modules[node.id], *reversed(parts)])
    return ""


class Shapes:
    """Counts the shapes of one tree."""

    def __init__(self, tree, modules=None):
        self.modules, self.aliases = module_aliases(tree, modules or modules_of(tree))
        self.own, self.counts = own_names(tree), {}
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        # What the file's own functions call their parameters is its own business, too.
        self.own_keywords = {keyword for call in calls if self.is_own(call.func) for keyword in call.keywords}
        self.walk(tree)

    def is_own(self, func):
        name = getattr(func, "id", getattr(func, "attr", ""))
        return name in self.own and not self.dotted(func)

    def walk(self, tree):
        """Every node, without recursion: a tree may be deep."""
        waiting = [tree]
        while waiting:
            node = waiting.pop()
            children = self.children(node)
            waiting.extend(children)
            # A name or a number by itself is in every program, and says nothing.
            if children and isinstance(node, (ast.stmt, ast.expr)):
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
            if name in ("annotation", "returns", "ctx", "type_comment"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not self.says_nothing(child):
                    found.append(child)
        if found and isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found = [child for child in found if not is_text(child)]
        return found

    def says_nothing(self, node):
        """An import, another name for what comes from a module, or an annotation without a value."""
        bare = isinstance(node, ast.AnnAssign) and node.value is None
        return bare or node in self.aliases or isinstance(node, (ast.Import, ast.ImportFrom))

    def dotted(self, node):
        return dotted_name(node, self.modules)

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
            return kind + ":" + constant_words(node.value)
        if isinstance(node, ast.keyword):
            return kind + ":" + ("_" if node in self.own_keywords else str(node.arg)[:TEXT_MAX])
        return "Assign" if isinstance(node, ast.AnnAssign) and node.value is not None else kind


def constant_words(value):
    """A constant in a shape: of a text its kind alone, of a number its beginning."""
    if isinstance(value, (str, bytes)):
        return type(value).__name__
    # Python writes no integer of more than 4300 digits in decimals, and takes the square of their number for it.
    return (hex if is_long(value) else repr)(value)[:TEXT_MAX]


def is_long(value):
    return isinstance(value, int) and value.bit_length() > INTEGER_BITS_MAX


def is_text(node):
    """A docstring, or another text that stands for itself."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


# The canonical text

# What libraries offer as a function and as a method: written as the method.
METHODS = frozenset(
    "abs amax amin clamp clip diagonal index_add matmul max mean median min mm mul relu scatter_add split std sub sum t "
    "transpose var".split()
)
LIBRARIES = ("numpy", "torch")
# And as an operator: written as the operator.
OPERATORS = {
    "subtract": ast.Sub, "sub": ast.Sub, "add": ast.Add, "multiply": ast.Mult, "mul": ast.Mult, "divide": ast.Div,
    "true_divide": ast.Div, "div": ast.Div, "matmul": ast.MatMult, "dot": ast.MatMult, "mm": ast.MatMult,
}  # fmt: skip
PRODUCTS = {name: OPERATORS[name] for name in ("matmul", "dot", "mm")}  # of methods: a set has `add`, too
TRANSPOSED = ("t", "transpose")
INLINED_NODES_MAX = 25  # chosen: a line of code; what is longer is no other name for something
INLINED_TEXT_MAX = 400  # characters of texts; chosen: longer ones are data, and would be written out at each use
INLINED_MAX = 5000  # chosen: a large honest file has some hundred; it bounds what a hostile one makes grow
FOLDED_MAX = 4  # statements of a helper; chosen: a line of code that was written as several
PASSES = 2  # chosen: an alias of an alias
# What stands for more than its value, or runs more than once.
NOT_INLINED = (
    ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Await, ast.Yield, ast.YieldFrom,
    ast.NamedExpr, ast.Starred,
)  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_small(node):
    """Whether it may be written in place of its name."""
    count = size = 0
    for below in ast.walk(node):
        count += 1
        value = getattr(below, "value", None)
        size += len(value) if isinstance(value, (str, bytes)) else 0
        if count > INLINED_NODES_MAX or size > INLINED_TEXT_MAX or isinstance(below, NOT_INLINED):
            return False
    return True


def expression_of(text):
    """A fresh tree of a text: a copy must not grow with what it was copied from."""
    return ast.parse(text, mode="eval").body


def own_nodes(scope):
    """The nodes of a function or module, without those of the functions and classes in it."""
    waiting = list(scope.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


def aliases_of(scope):
    """(how often a function or module binds each name, the texts of what it binds once, to something small)."""
    bound, values = {}, {}
    if isinstance(scope, FUNCTIONS):
        everything = scope.args.posonlyargs + scope.args.args + scope.args.kwonlyargs
        for argument in [*everything, scope.args.vararg, scope.args.kwarg]:
            if argument is not None:
                bound[argument.arg] = 1
    for node in own_nodes(scope):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound[node.id] = bound.get(node.id, 0) + 1
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            bound[node.value.id] = (
                bound.get(node.value.id, 0) + 1
            )  # what is filled afterwards is more than its first value
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            bound[node.name] = 2
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            bound.update(dict.fromkeys(node.names, 2))
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            values.update(pairs_of(node.targets[0], node.value))
    # What was computed keeps its name: a pattern can then tell that it is the same thing at two places.
    kept = (ast.BinOp, ast.BoolOp)
    small = {name: value for name, value in values.items() if not isinstance(value, kept) and is_small(value)}
    return bound, {name: ast.unparse(value) for name, value in small.items() if bound.get(name) == 1}


def pairs_of(target, value):
    """(name, value) of an assignment, of each part where both sides are tuples."""
    if isinstance(target, ast.Name):
        return [(target.id, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return [(t.id, v) for t, v in zip(target.elts, value.elts) if isinstance(t, ast.Name)]
    return []


def helpers_of(tree):
    """Functions, methods and lambdas that only return something small, by name."""
    found, lambdas, bound = {}, {}, {}
    for node in ast.walk(tree):
        if is_bound_here(node):
            bound[node.id] = bound.get(node.id, 0) + 1
        if isinstance(node, FUNCTIONS):
            found[node.name] = Helper.of(node.name, node.args, folded(node.body))
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.value, ast.Lambda):
            name = getattr(node.targets[0], "id", "")
            lambdas[name] = Helper.of(name, node.value.args, node.value.body)
    found.update({name: helper for name, helper in lambdas.items() if bound.get(name) == 1 and name not in found})
    return {name: helper for name, helper in found.items() if helper is not None}


def folded(body):
    """What a function returns that binds some names once and then returns something; None where it does more."""
    body = [statement for statement in body if not is_text(statement)]
    if not 1 <= len(body) <= FOLDED_MAX or not isinstance(body[-1], ast.Return) or body[-1].value is None:
        return None
    values = {}
    for statement in body[:-1]:
        target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
        if not isinstance(target, ast.Name) or target.id in values or not is_small(statement.value):
            return None
        value = put_in(values, statement.value)
        if not is_small(value):  # what is put in again and again would grow without bounds
            return None
        values[target.id] = ast.unparse(value)
    return put_in(values, body[-1].value) if values and is_small(body[-1].value) else body[-1].value


def put_in(values, node):
    """A fresh tree with the texts of these values in place of their names."""
    return Substituted(values, Budget()).visit(expression_of(ast.unparse(node)))


class Helper:
    """What a function returns.

    Attributes:
        positional, parameters: names of those that a position may give, and of all.
        defaults: their texts, by parameter.
        value: text of what it returns.
    """

    def __init__(self, positional, parameters, defaults, value):
        self.positional, self.parameters, self.defaults, self.value = positional, parameters, defaults, value

    @classmethod
    def of(cls, name, args, value):
        """None where it is no helper: it takes any number, calls itself, or returns more than a line."""
        if value is None or args.vararg or args.kwarg or not is_small(value):
            return None
        called = {below.func for below in ast.walk(value) if isinstance(below, ast.Call)}
        positional, only = [a.arg for a in args.posonlyargs + args.args], [a.arg for a in args.kwonlyargs]
        given = list(zip(positional[len(positional) - len(args.defaults) :], args.defaults))
        given += [pair for pair in zip(only, args.kw_defaults) if pair[1] is not None]
        if name in {getattr(func, "id", getattr(func, "attr", "")) for func in called}:
            return None
        if not all(is_small(default) for _, default in given):
            return None
        defaults = {parameter: ast.unparse(default) for parameter, default in given}
        return cls(positional, positional + only, defaults, ast.unparse(value))

    def bound(self, own, node):
        """The text of each parameter at a call; None where they do not fit.

        Args:
            own: the object whose method it may be, in a list; empty for a plain call.
        """
        if any(keyword.arg is None for keyword in node.keywords):
            return None
        is_method = self.positional[:1] in (["self"], ["cls"]) or len(own) + len(node.args) == len(self.parameters)
        arguments = own + node.args if is_method else node.args
        named = [(keyword.arg, keyword.value) for keyword in node.keywords]
        given = list(zip(self.positional, arguments)) + named
        texts = {name: ast.unparse(value) for name, value in given if is_small(value)}
        if len(arguments) > len(self.positional) or len(texts) != len(given) or not set(texts) <= set(self.parameters):
            return None
        texts = {**self.defaults, **texts}
        return texts if len(texts) == len(self.parameters) else None


class Substituted(ast.NodeTransformer):
    """Names as what they stand for."""

    def __init__(self, values, budget):
        self.values, self.budget = values, budget

    def visit_Name(self, node):
        if not isinstance(node.ctx, ast.Load) or node.id not in self.values or not self.budget.take():
            return node
        return expression_of(self.values[node.id])


class Budget:
    """How much may still be written in place of a name."""

    def __init__(self):
        self.left = INLINED_MAX

    def take(self):
        self.left -= 1
        return self.left >= 0


class Inlined(ast.NodeTransformer):
    """Names that are bound once, and helpers that only return something, as what they stand for."""

    def __init__(self, tree, budget):
        self.helpers, self.budget = helpers_of(tree), budget
        self.scopes = [aliases_of(tree)[1]]

    def visit_FunctionDef(self, node):
        bound, values = aliases_of(node)
        self.scopes.append({**{k: v for k, v in self.scopes[-1].items() if k not in bound}, **values})
        node.body = [self.visit(statement) for statement in node.body]
        self.scopes.pop()
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Name(self, node):
        value = self.scopes[-1].get(node.id)
        if value is None or not isinstance(node.ctx, ast.Load) or not self.budget.take():
            return node
        return expression_of(value)

    def visit_Call(self, node):
        self.generic_visit(node)
        func, own = node.func, []
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name):
            own = [func.value]  # a method's own object
        helper = self.helpers.get(getattr(func, "id", getattr(func, "attr", "")))
        if helper is None or not (own or isinstance(func, ast.Name)):
            return node
        texts = helper.bound(own, node)
        if texts is None or not self.budget.take():
            return node
        return Substituted(texts, self.budget).visit(expression_of(helper.value))


class Canonical(ast.NodeTransformer):
    """One way to write what can be written in several: modules' names in full, methods and operators for functions."""

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

    def visit_Constant(self, node):
        """An integer that cannot be written in decimals is none that a pattern looks for."""
        return ast.Name("_", ast.Load()) if is_long(node.value) else node

    def visit_FunctionDef(self, node):
        """Without docstrings and annotations."""
        node.body = [statement for statement in node.body if not is_text(statement)] or node.body
        node.returns = None
        self.generic_visit(node)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_arg(self, node):
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node):
        self.generic_visit(node)
        return ast.Assign([node.target], node.value) if node.value is not None else node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if node.attr == "newaxis" and isinstance(node.value, ast.Name) and node.value.id == "numpy":
            return ast.Constant(None)
        return node

    def visit_Call(self, node):
        self.generic_visit(node)
        if not isinstance(node.func, ast.Attribute) or any(isinstance(a, ast.Starred) for a in node.args):
            return node
        owner, name, arguments = node.func.value, node.func.attr, list(node.args)
        if not (isinstance(owner, ast.Name) and owner.id in LIBRARIES):
            return self.written(name, [owner, *arguments], node.keywords, PRODUCTS) or node
        return self.written(name, arguments, node.keywords, OPERATORS) or node

    def written(self, name, arguments, keywords, operators):
        """The operator or method for a function of these arguments; None where it is none."""
        if name in operators and len(arguments) == 2 and {keyword.arg for keyword in keywords} <= {"out", "alpha"}:
            return ast.BinOp(arguments[0], operators[name](), arguments[1])
        if name == "square" and len(arguments) == 1:
            return ast.BinOp(arguments[0], ast.Pow(), ast.Constant(2))
        if name in TRANSPOSED and len(arguments) == 1 and not keywords:
            return ast.Attribute(arguments[0], "T", ast.Load())
        if name in METHODS and arguments:
            return ast.Call(ast.Attribute(arguments[0], name, ast.Load()), arguments[1:], keywords)
        return None

    def visit_BinOp(self, node):
        """-a + b as b - a."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Add) and isinstance(node.left, ast.UnaryOp) and isinstance(node.left.op, ast.USub):
            return ast.BinOp(node.right, ast.Sub(), node.left.operand)
        return node


def canonical_text(tree):
    """The source again, in one form; the tree is spent."""
    tree, budget = Canonical(tree).visit(tree), Budget()
    for _ in range(PASSES):
        tree = Inlined(tree, budget).visit(tree)
    return ast.unparse(ast.fix_missing_locations(Canonical(ast.Module([], [])).visit(tree)))


def enclosing(node):
    """The text of the function that a piece of the canonical text stands in, or of the piece itself; not indented."""
    around = [above for above in node.ancestors() if above.kind() == "function_definition"]
    found = around[0] if around else node
    return textwrap.dedent(" " * found.range().start.column + found.text())


def shapes_of(text, modules):
    """The shapes of a piece of canonical text; none where it is no statement by itself."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}
    shapes = Shapes(tree, {name: name for name in modules})
    return dict(sorted(shapes.counts.items(), key=lambda entry: -entry[1])[:REGION_MAX])


def nodes_found(root, rule, every=True):
    """(every node at which a rule is found, or the first one; why ast-grep refuses the rule, empty where it does not)."""
    try:
        return [node for node in (root.find_all(**rule) if every else [root.find(**rule)]) if node is not None], ""
    except (MemoryError, RecursionError):
        raise
    except BaseException as error:  # `Exception` itself, or a panic of its own: a wrong rule must not end the parser
        return [], refusal_words(error)


def refusal_words(error):
    """What ast-grep says of a rule, on one line, without where in its own text it noticed."""
    said = str(error).split("Stack backtrace")[0].split("Caused by:")[-1]
    words = [re.sub("^[0-9]+:", "", line.strip()).strip() for line in said.splitlines()]
    kept = [line for line in words if line and line != "`rule` is not configured correctly."]
    return (" ".join(kept) or type(error).__name__)[:REFUSAL_MAX]


def matches_of(tree, rules):
    """(where each rule of ast-grep is found in the canonical text: the first place, cut; None where ast-grep is missing,
    shapes of the function around that place, of a rule whose name ends with `/?`, the rules that ast-grep refuses, and why).
    """
    if not rules:
        return {}, {}, {}
    try:
        from ast_grep_py import SgRoot
    except ImportError:
        return None, {}, {}
    modules = {dotted.split(".")[0] for dotted in modules_of(tree).values()}
    root = SgRoot(canonical_text(tree), "python").root()
    found, regions, refused = {}, {}, {}
    for name, rule in rules.items():
        nodes, why = nodes_found(root, rule, every=False)
        if why:
            refused[name] = why
        for node in nodes:
            text = enclosing(node) if name.endswith("/?") else node.text()
            found[name] = text[:EXCERPT_MAX]
            if name.endswith("/?"):
                regions[name] = shapes_of(text, modules)
    return found, regions, refused


def syntax_of(source, rules=None):
    """{"lines", "shapes", "matches", "regions", "refused"}, or {"error"}; matches are None where they could not be looked
    for; refused are the rules that ast-grep refuses, and why."""
    lines = source.count(b"\n") + (not source.endswith(b"\n") and bool(source))
    try:
        tree = ast.parse(source)
        shapes = Shapes(tree).counts
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return {"lines": lines, "error": ("%s: %s" % (type(error).__name__, error))[:300]}
    try:
        matches, regions, refused = matches_of(tree, rules)
    except (SyntaxError, ValueError, RecursionError, MemoryError, RuntimeError, TypeError) as error:
        return {
            "lines": lines,
            "shapes": shapes,
            "matches": None,
            "doubt": ("%s: %s" % (type(error).__name__, error))[:300],
        }
    return {"lines": lines, "shapes": shapes, "matches": matches, "regions": regions, "refused": refused}
