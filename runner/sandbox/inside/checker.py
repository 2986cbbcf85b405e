"""Parses a submission inside a sandbox and reports facts about its text.

The host never parses untrusted source. What comes back is advice to the judge: plain lists of names, bounded; it is asked
for before the file is loaded, while nothing in the process is hostile yet.
"""

import ast
import codecs
import io
import tokenize

NAMES_MAX = 200  # chosen: of each kind of name, so that the facts fit in a reply


def decode(source):
    """The text, or why it is not text."""
    if b"\0" in source:
        return None, "it holds a NUL byte"
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(source).readline)[0]
    except (SyntaxError, LookupError) as error:
        return None, "its encoding cannot be told: %s" % error
    if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig", "ascii"):
        return None, "it is not declared as UTF-8 but as %s" % encoding
    try:
        return source.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return None, "it is not UTF-8: %s" % error


def imported(tree):
    """Every module name in an import statement; a relative import starts with a dot."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return sorted(found)


def classes(tree):
    """Classes at the top of the module, each with the names that it binds."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = sorted(
                child.name for child in node.body if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
            )
    return found


def bound(tree):
    """Names bound at the top of the module."""
    found = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
    return sorted(found)


def names_called(tree):
    """Plain and dotted names that are called."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            parts, at = [], node.func
            while isinstance(at, ast.Attribute):
                parts.append(at.attr)
                at = at.value
            if isinstance(at, ast.Name):
                parts.append(at.id)
            found.add(".".join(reversed(parts)))
    return sorted(found)


def attributes(tree):
    """Names of attributes that are read or written."""
    return sorted({node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)})


def used(tree):
    """Names that are read anywhere."""
    return sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)})


# Characters that show a text in another order than it is read (Boucher and Anderson, 2021, "Trojan Source").
BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def hidden_text(text):
    """What a reader would not see: characters of direction, and names with letters that look like others."""
    found = sorted({"U+%04X" % ord(char) for char in text if char in BIDI})
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError, IndentationError):
        tokens = []
    odd = sorted({token.string[:100] for token in tokens if token.type == tokenize.NAME and not token.string.isascii()})
    return found, odd


def strings(tree):
    """Text constants, docstrings included; bounded."""
    found = {
        node.value[:200] for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return sorted(found)


def facts_of(source):
    text, why_not = decode(source)
    if text is None:
        return {"text": why_not}
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return {"syntax": ("%s: %s" % (type(error).__name__, error))[:500]}
    return {
        "imports": imported(tree)[:NAMES_MAX],
        "classes": dict(list(classes(tree).items())[:NAMES_MAX]),
        "bound": bound(tree)[:NAMES_MAX],
        "called": [name[:100] for name in names_called(tree)][: 4 * NAMES_MAX],
        "attributes": [name[:100] for name in attributes(tree)][: 4 * NAMES_MAX],
        "used": [name[:100] for name in used(tree)][: 4 * NAMES_MAX],
        "bidi": hidden_text(text)[0][:NAMES_MAX],
        "odd_names": hidden_text(text)[1][:NAMES_MAX],
        "strings": strings(tree)[: 4 * NAMES_MAX],
    }
