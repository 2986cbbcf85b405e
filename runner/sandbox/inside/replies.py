"""What a reply may be, whatever was asked: one head that can be sent, a body of bounded size, and text that can be shown.

A name, a path and a file's content are the agent's: any bytes but those that the kernel refuses.
"""

import re

BODY_BYTES_MAX = 16 * 1024 * 1024  # as in runner/sandbox/container.py: a larger frame would end the sandbox
ERROR_CHARS_MAX = 2_000  # chosen: a sentence with a path in it
NAME_CHARS_MAX = 400  # chosen: of a path in a message; enough to tell which one

# What a terminal, a log or a reader of lines takes for more than text; tabs and line feeds are text.
NOT_PRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
NAME_QUOTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^\\[\\.\\.\\. |^\\$'")


class ToolError(Exception):
    """What the agent did wrong, in words that let it correct it."""


def escape(found):
    """A character as bash and Python write it in quotes."""
    number = ord(found.group())
    return "\\x%02x" % number if number < 256 else "\\u%04x" % number


def printable(content):
    """Bytes as text: bytes that are no UTF-8, and control characters, are written as `\\x1b`."""
    return NOT_PRINTABLE.sub(escape, content.decode("utf-8", "backslashreplace"))


def name_of(name):
    """A name (bytes) on one line; where it cannot be shown as it is, in bash's `$'...'`, which stands for exactly it."""
    text = name.decode("utf-8", "surrogateescape")
    if not NAME_QUOTED.search(text):
        return text
    return "$'" + "".join(map(quoted, text)) + "'"


def quoted(char):
    if "\udc80" <= char <= "\udcff":
        return "\\x%02x" % (ord(char) - 0xDC00)  # a byte that is no UTF-8
    if char in "\\'":
        return "\\" + char
    if char in "\u2028\u2029" or "\x80" <= char <= "\x9f":
        return "".join("\\x%02x" % byte for byte in char.encode())
    return "\\x%02x" % ord(char) if char < " " or char == "\x7f" else char


def path_shown(path):
    """A path (text) in a message: on one line, and of bounded length."""
    text = name_of(path.encode("utf-8", "surrogateescape"))
    return text if len(text) <= NAME_CHARS_MAX else text[: NAME_CHARS_MAX // 2] + "..." + text[-NAME_CHARS_MAX // 2 :]


def notice(text):
    """What a tool says in the middle of what it shows; no name is shown in this form."""
    return "[... " + text + " ...]\n"


def error_text(error):
    """Any exception of a request, in words for the agent."""
    if isinstance(error, ToolError):
        text = str(error)
    elif isinstance(error, OSError) and error.errno:
        text = os.strerror(error.errno)
    else:
        text = "the tool failed: %s: %s" % (type(error).__name__, error)
    return NOT_PRINTABLE.sub(escape, text)[:ERROR_CHARS_MAX]


def answer_of(do):
    """(head, body) of the reply to a request: what `do` answers, or what is wrong, if it raises whatever."""
    try:
        head, body = do()
        if len(body) > BODY_BYTES_MAX:
            raise ToolError("the answer has %d bytes; the limit is %d" % (len(body), BODY_BYTES_MAX))
        return head, body
    except Exception as error:  # nothing that a request meets may end PID 1
        return {"ok": False, "error": error_text(error)}, b""
