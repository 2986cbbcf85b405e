"""A definition of one source in the place of another source's: which bytes become what, or why it cannot be done.

Nothing of either source runs. What the new text needs (imports, constants, helpers) is brought along where the file lacks
it; where a name is something else there, or the parameters differ, the answer is a refusal, never a guess. The host puts the
bytes together; the same is done here, to see that the result is what was meant.
"""

import ast

TEXTS_MAX = 4 * 1024 * 1024  # chosen: several times the largest submission
PLACES_MAX = 500  # chosen: of matches and references that are reported


class Refused(Exception):
    """It cannot be done without a guess."""


class Source:
    """A source, with its definitions and what its top level binds."""

    def __init__(self, content):
        self.content, self.tree = content, ast.parse(content)
        self.starts = [0]
        for line in content.split(b"\n"):
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.definitions, self.owners, self.bindings = {}, {}, {}
        for statement in self.tree.body:
            self.bind(statement)

    def bind(self, statement):
        if isinstance(statement, FUNCTIONS + (ast.ClassDef,)):
            self.definitions[statement.name] = statement
            self.owners[statement.name] = statement
            self.note(statement.name, "definition", statement)
            for member in getattr(statement, "body", ()) if isinstance(statement, ast.ClassDef) else ():
                if isinstance(member, FUNCTIONS):
                    self.definitions[statement.name + "." + member.name] = member
                    self.owners[statement.name + "." + member.name] = statement
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                self.note(alias.asname or alias.name.split(".")[0], "import", ast.Import([alias]))
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                one = ast.ImportFrom(statement.module, [alias], statement.level)
                self.note(alias.asname or alias.name, "import", one)
        elif is_plain_assignment(statement):
            self.note(statement.targets[0].id, "constant", statement)
        elif is_parallel_assignment(statement):
            for target, value in zip(statement.targets[0].elts, statement.value.elts):
                self.note(target.id, "constant", ast.copy_location(ast.Assign([target], value, lineno=0), statement))
        else:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    self.note(node.id, "other", statement)

    def note(self, name, kind, statement):
        """What a name of the top level is; bound twice to different things, it is nothing that can be relied on."""
        before = self.bindings.get(name)
        if before is not None and meaning(before[1]) != meaning(statement):
            kind = "other"
        elif before is not None and isinstance(statement, ast.Import):
            statement = ast.Import(before[1].names + statement.names)
        self.bindings[name] = (kind, statement)

    def range_of(self, node):
        """(first byte, byte after the last one) of a definition, its decorators included."""
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        return (
            self.starts[first - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def indent_of(self, node):
        start = self.starts[node.lineno - 1]
        return self.content[start : start + node.col_offset].decode("utf-8")


def is_plain_assignment(statement):
    return (
        isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)
    )


def is_parallel_assignment(statement):
    """`A, B = 4, 8`: two plain ones in one line."""
    return (
        isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and isinstance(statement.targets[0], ast.Tuple)
        and isinstance(statement.value, ast.Tuple)
        and len(statement.targets[0].elts) == len(statement.value.elts)
        and all(isinstance(target, ast.Name) for target in statement.targets[0].elts)
    )


def meaning(statement):
    """What a statement binds, as text: the same for `import a` and `import a.b`, `import a.b as b` and `from a import b`."""
    if isinstance(statement, ast.Import):
        alias = statement.names[0]
        return "import " + (alias.name if alias.asname else alias.name.split(".")[0])
    if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
        return "import " + statement.module + "." + statement.names[0].name
    return written(statement)


def written(node):
    """The text of a node without comments, layout, and the docstrings in it."""
    return ast.unparse(undocumented(node))


def undocumented(node):
    """A copy without docstrings: their text changes with the indentation, and no program's meaning with them."""
    made = copy_of(node)
    for inner in ast.walk(made):
        if isinstance(inner, FUNCTIONS + (ast.ClassDef,)) and is_text(inner.body[0]):
            inner.body = inner.body[1:] or [ast.Pass()]
    return made


def copy_of(node):
    import copy

    return copy.deepcopy(node)


def indented(text, indent):
    return text.replace("\n", "\n" + indent)


class Swap:
    """The edits that put definitions of a donor into a target.

    `shared` has the definitions that both files are expected to have, each its own: those of the task's baseline.
    """

    def __init__(self, target, donor, shared, names):
        self.target, self.donor, self.shared, self.names = target, donor, shared, names
        self.edits, self.above, self.brought = [], {}, {}

    def run(self):
        for name in self.names:
            self.replace(name)
        self.put_above()
        self.edits.sort()
        self.check(spliced(self.target.content, self.edits))
        return [[start, end, text] for start, end, text in self.edits]

    def replace(self, name):
        old, new = self.target.definitions.get(name), self.donor.definitions.get(name)
        if old is None:
            raise Refused("the file has no %s" % name)
        if new is None:
            raise Refused("there is no other version of %s" % name)
        if type(old) is not type(new) or parameters(old) != parameters(new):
            raise Refused("%s takes other parameters" % name)
        start, end = self.target.range_of(old)
        members = self.members(name, old, new) if "." in name else []
        indent = self.target.indent_of(old)
        text = "".join(indented(written(member), indent) + "\n\n" + indent for member in members)
        self.edits.append((start, end, text + indented(written(new), indent)))
        self.need(new, name)

    def members(self, name, old, new):
        """Methods and constants of the class that the new text uses and the file's class lacks."""
        class_name = name.split(".")[0]
        ours, theirs = self.target.owners[name], self.donor.owners[name]
        mine, other, found, waiting, seen = members_of(ours), members_of(theirs), [], [new], set()
        while waiting:
            method = waiting.pop()
            for attribute in sorted(own_attributes(method, class_name) - seen):
                seen.add(attribute)
                full = class_name + "." + attribute
                if attribute in other:
                    if attribute not in mine:
                        if full not in self.brought:
                            found.append(other[attribute])
                            self.brought[full] = other[attribute]
                            self.need(other[attribute], full)
                        waiting.append(other[attribute])
                    elif (
                        full not in self.names
                        and full not in self.shared.definitions
                        and written(mine[attribute]) != written(other[attribute])
                    ):
                        raise Refused("it uses %s, which is something else in the file" % full)
                elif attribute in stored_on_self(theirs) - stored_on_self(ours) - stored_on_self(method):
                    raise Refused("it uses self.%s, which the file does not set" % attribute)
        return found

    def need(self, node, name):
        """Bring along what a text uses of its own file's top level."""
        for used in sorted({n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & set(self.donor.bindings)):
            kind, statement = self.donor.bindings[used]
            present = self.target.bindings.get(used)
            if present is None:
                if kind == "other":
                    raise Refused("it uses %s, which is not bound in one plain way" % used)
                if used not in self.above:
                    self.above[used] = statement
                    self.need(statement, used)
            elif used in self.shared.definitions and kind == present[0] == "definition":
                continue
            elif "other" in (kind, present[0]) or meaning(statement) != meaning(present[1]):
                raise Refused("%s is something else in the file" % used)

    def put_above(self):
        """What was brought along, in front of the first statement that changes."""
        if not self.above:
            return
        order = {id(statement): place for place, statement in enumerate(self.donor.tree.body)}
        statements = sorted(self.above.values(), key=lambda statement: order.get(id(statement), -1))
        first = min((self.target.owners[name] for name in self.names), key=lambda node: node.lineno)
        start, _ = self.target.range_of(first)
        self.edits.append((start, start, "".join(written(statement) + "\n" for statement in statements) + "\n"))

    def check(self, content):
        """Whether the new file has what was meant, and nothing else has changed."""
        made = Source(content)
        for name, node in self.target.definitions.items():
            if name in self.names:
                if written(made.definitions[name]) != written(self.donor.definitions[name]):
                    raise Refused("%s cannot be moved as it is written" % name)
            elif not any(wanted.startswith(name + ".") for wanted in self.names):
                if name not in made.definitions or written(made.definitions[name]) != written(node):
                    raise Refused("%s would change as well" % name)


def spliced(content, edits):
    """The content with the edits made; ranges are in order and do not overlap."""
    parts, at = [], 0
    for start, end, text in edits:
        parts += [content[at:start], text.encode("utf-8")]
        at = end
    return b"".join([*parts, content[at:]])


def parameters(node):
    """How many positional and named parameters there are, and whether any number more."""
    if isinstance(node, ast.ClassDef):
        return ()
    given = node.args
    return (
        len(given.posonlyargs) + len(given.args),
        sorted(argument.arg for argument in given.kwonlyargs),
        given.vararg is not None,
        given.kwarg is not None,
    )


def members_of(node):
    """Methods and constants of a class, by name."""
    found = {}
    for member in node.body:
        if isinstance(member, FUNCTIONS):
            found[member.name] = member
        elif is_plain_assignment(member):
            found[member.targets[0].id] = member
    return found


def own_attributes(method, class_name):
    """What a method reads of its instance, or of its class by name."""
    names = {class_name}
    if isinstance(method, FUNCTIONS):
        names.update(argument.arg for argument in (method.args.posonlyargs + method.args.args)[:1])
    return {
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names
    }


def stored_on_self(node):
    """Attributes that are set on anything called self."""
    return {
        inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Attribute)
        and isinstance(inner.ctx, ast.Store)
        and isinstance(inner.value, ast.Name)
        and inner.value.id == "self"
    }


def swapped(content, lengths, names):
    """{"edits": [[first byte, byte after the last, text], ...]} or {"refused": why}; contents: target, donor, shared."""
    parts, at = [], 0
    for length in lengths:
        parts.append(content[at : at + length])
        at += length
    try:
        edits = Swap(*map(Source, parts), names).run()
    except Refused as refused:
        return {"refused": str(refused)[:300]}
    except (SyntaxError, ValueError, RecursionError, MemoryError, KeyError) as error:
        return {"refused": ("%s: %s" % (type(error).__name__, error))[:300]}
    if sum(len(text) for _, _, text in edits) > TEXTS_MAX:
        return {"refused": "the texts are too long"}
    return {"edits": edits}


def located(content, rules):
    """{"definitions": {name: [definitions that it uses]}, "places": {rule: [definitions in which it is found]}}."""
    try:
        source, text = Source(content), canonical_text(ast.parse(content))
        places = places_of(text, Source(text.encode("utf-8")), rules)
        return {"definitions": uses_of(source), "places": places}
    except (SyntaxError, ValueError, RecursionError, MemoryError, RuntimeError, TypeError) as error:
        return {"error": ("%s: %s" % (type(error).__name__, error))[:300]}


def uses_of(source):
    """The definitions that each definition names, directly."""
    found = {}
    for name, node in list(source.definitions.items())[:PLACES_MAX]:
        used = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        if isinstance(node, ast.ClassDef):
            used |= {member for member in source.definitions if member.startswith(name + ".")}
        elif "." in name:
            class_name = name.split(".")[0]
            used |= {class_name + "." + attribute for attribute in own_attributes(node, class_name)}
        found[name] = sorted((used & set(source.definitions)) - {name})[:PLACES_MAX]
    return found


def places_of(text, source, rules):
    """The innermost definitions in which each rule is found; an empty name for the top level."""
    from ast_grep_py import SgRoot

    root, found = SgRoot(text, "python").root(), {}
    for rule, matcher in rules.items():
        lines = {node.range().start.line + 1 for node in nodes_found(root, matcher)[0]}
        if lines:
            found[rule] = sorted({innermost(source, line) for line in lines})[:PLACES_MAX]
    return found


def innermost(source, line):
    around = [name for name, node in source.definitions.items() if node.lineno <= line <= node.end_lineno]
    return max(around, key=len, default="")
