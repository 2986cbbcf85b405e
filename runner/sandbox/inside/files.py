"""Paths that cannot leave the workspace, and the file tools.

Every path is walked step by step from the workspace's own descriptor, never following a symbolic link: the agent's
process has the same uid as PID 1, so that a link to /proc/self/mem would otherwise be read with PID 1's eyes. What is
opened is opened without blocking and used only when it is a regular file.

Files are bytes here, and an edit changes no byte but those that it was asked to. A line ends with a line feed and with
nothing else, as for grep, sed, wc and editors. Where every line of a file ends with CR LF, it is shown and edited as if
they were line feeds.
"""

import stat

WORKSPACE = "/workspace"
EDIT_BYTES_MAX = 2 * 1024 * 1024  # chosen: far over what a tool's result shows
LARGER = "; read and edit larger files with bash"
WALK_STEPS_MAX = 64  # chosen: components of a path
NUMBER_BYTES = 8  # of the largest number of a line, with its tab
MODE_KEPT = 0o777  # of a file that is written again: no more, so that nothing becomes setuid


class IsFolder(ToolError):
    """A folder where a file was asked for."""


def parts_of(path):
    """The steps (bytes) of a path below the workspace; relative paths start there."""
    if "\0" in path:
        raise ToolError("the path holds a NUL byte")
    text = path if path.startswith("/") else WORKSPACE + "/" + path
    steps = []
    for step in text.split("/"):
        if step == "..":
            raise ToolError(path_shown(path) + ": `..` is not allowed; give a path under " + WORKSPACE)
        if step not in ("", "."):
            steps.append(step.encode("utf-8", "surrogateescape"))
    root = [step.encode() for step in WORKSPACE.split("/") if step]
    if steps[: len(root)] != root:
        raise ToolError(path_shown(path) + " is outside " + WORKSPACE + "; tools act only there")
    if len(steps) - len(root) >= WALK_STEPS_MAX:
        raise ToolError("the path has %d steps or more below %s" % (WALK_STEPS_MAX, WORKSPACE))
    return steps[len(root) :]


def walk(path, steps, make=False):
    """A descriptor of the folder that holds the last step. The caller closes it."""
    here = os.open(WORKSPACE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for step in steps[:-1]:
            if make:
                try:
                    os.mkdir(step, 0o755, dir_fd=here)
                except FileExistsError:
                    pass
            deeper = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = deeper
        return here
    except OSError as error:
        os.close(here)
        raise explain(error, path)


def explain(error, path):
    """An OSError in words for the agent."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return ToolError(
            path_shown(path) + ": a step of the path is a symbolic link or not a folder; links are not followed"
        )
    return ToolError(path_shown(path) + ": " + os.strerror(error.errno or 0))


def open_regular(path, flags=os.O_RDONLY):
    """A descriptor of a regular file below the workspace."""
    steps = parts_of(path)
    if not steps:
        raise IsFolder(path_shown(path) + " is a folder, not a regular file")
    folder = walk(path, steps)
    try:
        found = os.open(steps[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise explain(error, path)
    finally:
        os.close(folder)
    mode = os.fstat(found).st_mode
    if not stat.S_ISREG(mode):
        os.close(found)
        if stat.S_ISDIR(mode):
            raise IsFolder(path_shown(path) + " is a folder, not a regular file")
        raise ToolError(path_shown(path) + " is a special file, not a regular file")
    return found


def read_regular(path, bytes_max, hint=""):
    """The bytes of a regular file below the workspace; too large a file is an error before it is read."""
    found = open_regular(path)
    try:
        size = os.fstat(found).st_size
        if size > bytes_max:
            raise ToolError("%s has %d bytes; the limit is %d%s" % (path_shown(path), size, bytes_max, hint))
        parts, left = [], bytes_max + 1
        while left:
            part = os.read(found, min(left, max(size + 1, 1 << 20)))  # in one piece: joined, it would be there twice
            if not part:
                break
            parts.append(part)
            left -= len(part)
    except OSError as error:
        raise explain(error, path)
    finally:
        os.close(found)
    content = b"".join(parts)
    if len(content) > bytes_max:
        raise ToolError("%s grew past the limit of %d bytes" % (path_shown(path), bytes_max))
    return content


def mode_there(name, folder):
    """The mode of a file that is there already: what is executable stays so."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return 0o644
    return found & MODE_KEPT if stat.S_ISREG(found) else 0o644


def write_regular(path, content):
    """Write a file below the workspace: a new file takes the place of whatever had the name, and its mode."""
    steps = parts_of(path)
    if not steps:
        raise IsFolder(path_shown(path) + " is a folder, not a regular file")
    folder = walk(path, steps, make=True)
    fresh = b".new-" + os.urandom(8).hex().encode()  # a name that nobody has: no file of the agent's is touched
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        made = os.open(fresh, flags, 0o600, dir_fd=folder)
        try:
            os.fchmod(made, mode_there(steps[-1], folder))
            view = memoryview(content)
            while view:
                view = view[os.write(made, view) :]
        finally:
            os.close(made)
        os.rename(fresh, steps[-1], src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        try:
            os.unlink(fresh, dir_fd=folder)
        except OSError:
            pass
        raise explain(error, path)
    finally:
        os.close(folder)


def read_submission(head):
    """A file's bytes, or a folder's as one run of bytes, as the request asks."""
    if head.get("paths"):
        return read_work(head)
    if not head.get("folder"):
        return read_regular(head["path"], head["bytes_max"])
    folder = walk(head["path"], [*parts_of(head["path"]), b"."])
    try:
        return bundled(folder, head["bytes_max"], head["files_max"])
    except BadBundle as error:
        raise ToolError("%s: %s" % (path_shown(head["path"]), error))
    except OSError as error:
        raise explain(error, head["path"])
    finally:
        os.close(folder)


def read_work(head):
    """The files below several paths of the workspace as one run of bytes, whatever path was named."""
    root = os.open(WORKSPACE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return collected(root, head["paths"], head["left_out"], head["bytes_max"], head["files_max"])
    except BadBundle as error:
        raise ToolError(str(error))
    except OSError as error:
        raise explain(error, WORKSPACE)
    finally:
        os.close(root)


# Showing


def list_folder(path, bytes_max):
    """The first names of a folder in their order, one a line; folders end in a slash."""
    import heapq

    here = walk(path, [*parts_of(path), b"."])
    count = 0

    def counted(entries):
        nonlocal count
        for entry in entries:
            count += 1
            yield os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)

    try:
        with os.scandir(here) as entries:
            names = heapq.nsmallest(bytes_max // 2, counted(entries))  # a name takes two bytes with its line feed
    except OSError as error:
        raise explain(error, path)
    finally:
        os.close(here)
    lines = [(name_of(name) + ("/" if folder else "") + "\n").encode() for name, folder in names]
    shown = fitting(lines, bytes_max)
    if not count:
        return notice("the folder is empty").encode()
    return b"".join(shown) + (notice("%d more names" % (count - len(shown))).encode() if len(shown) < count else b"")


def fitting(lines, bytes_max):
    """The first lines that fit."""
    taken = []
    for line in lines:
        bytes_max -= len(line)
        if bytes_max < 0:
            break
        taken.append(line)
    return taken


def count_lines(content):
    return content.count(b"\n") + (content[-1:] not in (b"", b"\n"))


def start_of(content, number):
    """Where a line begins, from 1; the one behind the last begins at the end."""
    at = 0
    for _ in range(number - 1):
        at = content.find(b"\n", at) + 1 or len(content)
    return at


def lines_of(content, first, last):
    """The lines with their ends, one at a time: all of them at once would take much more memory than the file."""
    at = start_of(content, first)
    for _ in range(first, last + 1):
        end = content.find(b"\n", at) + 1 or len(content)
        yield content[at:end]
        at = end


def has_crlf(content):
    """Whether every line that ends, ends with CR LF."""
    return b"\n" in content and content.count(b"\n") == content.count(b"\r\n")


def numbered(lines, first, crlf, bytes_max):
    """The lines as they are shown; one that is longer than the limit is cut."""
    for number, line in enumerate(lines, first):
        end = b"\r\n" if crlf and line.endswith(b"\r\n") else b"\n" if line.endswith(b"\n") else b""
        text = line[: len(line) - len(end)]
        kept = head_of(text, bytes_max)
        cut = notice("%d more bytes" % (len(text) - len(kept))) if len(kept) < len(text) else "\n"
        yield ("%6d\t%s%s" % (number, printable(kept), cut)).encode()


def head_of(text, bytes_max):
    """The first bytes of a text; no character is cut in two."""
    end = min(len(text), bytes_max)
    for _ in range(3):
        if end < len(text) and text[end] & 0xC0 == 0x80:
            end -= 1
    return text[:end]


def view(path, view_range, bytes_max):
    """A file with numbered lines, or a folder's names."""
    try:
        content = read_regular(path, EDIT_BYTES_MAX, LARGER)
    except IsFolder:
        return list_folder(path, bytes_max)
    count = count_lines(content)
    first, last = view_range or (1, -1)
    last = count if last == -1 else min(last, count)
    if not count and first == 1:
        return notice("the file is empty").encode()
    if not 1 <= first <= last:
        wanted = "[first, last] with 1 <= first <= last <= %d, or -1 for the last line" % count
        raise ToolError("view_range %s does not fit a file of %d lines; give %s" % (view_range, count, wanted))
    return shown_lines(content, first, last, bytes_max)


def shown_lines(content, first, last, bytes_max):
    """Numbered lines within a size, and what to ask for to see the others."""
    crlf = has_crlf(content)
    shown = fitting(numbered(lines_of(content, first, last), first, crlf, bytes_max), bytes_max)
    if not shown:  # the first alone is too long; a byte may be shown as four
        shown = [next(numbered(lines_of(content, first, last), first, crlf, (bytes_max - NUMBER_BYTES) // 4))]
    if len(shown) == last - first + 1:
        return b"".join(shown)
    rest = (first + len(shown), last)
    return b"".join(shown) + notice("lines %d to %d are not shown: give a view_range" % rest).encode()


# Editing


def ends_as(content, text):
    """Text for a place in a file, with the file's own line ends."""
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if has_crlf(content) else text


def str_replace(path, old, new):
    """Replace the one place where `old` stands."""
    content = read_regular(path, EDIT_BYTES_MAX, LARGER)
    old, new = ends_as(content, old), ends_as(content, new)
    if not old:
        raise ToolError("old_str is empty; give the text to replace")
    count, place = content.count(old), content.find(old)
    if count == 1 and content.find(old, place + 1) >= 0:
        count = 2  # they overlap
    if count != 1:
        raise ToolError("old_str occurs %d times in %s; it must occur exactly once" % (count, path_shown(path)))
    write_regular(path, content[:place] + new + content[place + len(old) :])
    return "%s: replaced" % path_shown(path)


def insert(path, line, new):
    """Insert text after a line (0: at the beginning)."""
    content = read_regular(path, EDIT_BYTES_MAX, LARGER)
    count = count_lines(content)
    if not 0 <= line <= count:
        raise ToolError("insert_line %d does not fit a file of %d lines" % (line, count))
    at, new, end = start_of(content, line + 1), ends_as(content, new), ends_as(content, b"\n")
    parts = [content[:at], new, content[at:]]
    if at and not parts[0].endswith(b"\n"):
        parts.insert(1, end)
    if not new.endswith(b"\n"):
        parts.insert(-1, end)
    write_regular(path, b"".join(parts))
    return "%s: inserted after line %d" % (path_shown(path), line)


# Requests


def do_view(head, body):
    return {"ok": True}, view(head["path"], head["view_range"], head["bytes_max"])


def do_create(head, body):
    write_regular(head["path"], body)
    return {"ok": True}, ("%s: %d bytes written" % (path_shown(head["path"]), len(body))).encode()


def do_str_replace(head, body):
    old, new = body[: head["old_bytes"]], body[head["old_bytes"] :]
    return {"ok": True}, str_replace(head["path"], old, new).encode()


def do_insert(head, body):
    return {"ok": True}, insert(head["path"], head["insert_line"], body).encode()


def do_read(head, body):
    """The bytes of a regular file, or of a folder's, as they are now."""
    return {"ok": True}, read_submission(head)


FILE_REQUESTS = {
    "view": do_view,
    "create": do_create,
    "str_replace": do_str_replace,
    "insert": do_insert,
    "read": do_read,
}
