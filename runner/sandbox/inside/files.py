"""Paths that cannot leave the workspace, and the file tools.

Every path is walked step by step from the workspace's own descriptor, never following a symbolic link: the agent's
process has the same uid as PID 1, so that a link to /proc/self/mem would otherwise be read with PID 1's eyes. What is
opened is opened without blocking and used only when it is a regular file.
"""

import stat

WORKSPACE = "/workspace"
VIEW_BYTES_MAX = 2 * 1024 * 1024  # chosen: far over what a tool's result shows
WALK_STEPS_MAX = 64  # chosen: components of a path


class ToolError(Exception):
    """What the agent did wrong, in words that let it correct it."""


def parts_of(path):
    """The steps of a path below the workspace; relative paths start there."""
    if "\0" in path:
        raise ToolError("the path holds a NUL byte")
    text = path if path.startswith("/") else WORKSPACE + "/" + path
    steps = []
    for step in text.split("/"):
        if step == "..":
            raise ToolError(path + ": `..` is not allowed; give a path under " + WORKSPACE)
        if step not in ("", "."):
            steps.append(step)
    if steps[:1] != [WORKSPACE.strip("/")]:
        raise ToolError(path + " is outside " + WORKSPACE + "; tools act only there")
    if len(steps) > WALK_STEPS_MAX:
        raise ToolError("the path has more than " + str(WALK_STEPS_MAX) + " steps")
    return steps[1:]


def walk(steps, make=False):
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
        raise explain(error, "/".join(steps))


def explain(error, path):
    """An OSError in words for the agent."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return ToolError(path + ": a step of the path is a symbolic link or no folder; links are not followed")
    return ToolError(path + ": " + os.strerror(error.errno or 0))


def open_regular(path, flags=os.O_RDONLY):
    """A descriptor of a regular file below the workspace."""
    steps = parts_of(path)
    if not steps:
        raise ToolError(path + " is a folder")
    folder = walk(steps)
    try:
        found = os.open(steps[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise explain(error, path)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        kind = "folder" if stat.S_ISDIR(os.fstat(found).st_mode) else "special file"
        os.close(found)
        raise ToolError(path + " is a " + kind + ", not a regular file")
    return found


def read_regular(path, bytes_max):
    """The bytes of a regular file below the workspace; too large a file is an error before it is read."""
    found = open_regular(path)
    try:
        size = os.fstat(found).st_size
        if size > bytes_max:
            raise ToolError("%s has %d bytes; the limit is %d" % (path, size, bytes_max))
        parts, left = [], bytes_max + 1
        while left:
            part = os.read(found, min(left, 1 << 20))
            if not part:
                break
            parts.append(part)
            left -= len(part)
    finally:
        os.close(found)
    content = b"".join(parts)
    if len(content) > bytes_max:
        raise ToolError("%s grew past the limit of %d bytes" % (path, bytes_max))
    return content


def write_regular(path, content, mode=0o644):
    """Write a file below the workspace: a new file takes the place of whatever had the name."""
    steps = parts_of(path)
    if not steps:
        raise ToolError(path + " is a folder")
    folder = walk(steps, make=True)
    fresh = ".%s.new" % steps[-1][:200]
    try:
        try:
            os.unlink(fresh, dir_fd=folder)
        except FileNotFoundError:
            pass
        made = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
        try:
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


def list_folder(path):
    """The names in a folder, two hundred at most; folders end in a slash."""
    steps = parts_of(path)
    here = walk([*steps, "."])
    names = []
    try:
        with os.scandir(here) as entries:
            for entry in entries:
                if len(names) == 200:
                    names.append("... (more)")
                    break
                names.append(entry.name + ("/" if entry.is_dir(follow_symlinks=False) else ""))
    finally:
        os.close(here)
    return "\n".join(sorted(names)) + "\n"


def view(path, view_range):
    """A file with numbered lines, or a folder's names."""
    try:
        text = read_regular(path, VIEW_BYTES_MAX).decode("utf-8", "replace")
    except ToolError as error:
        if str(error).endswith("is a folder") or "is a folder, not" in str(error):
            return list_folder(path)
        raise
    lines = text.splitlines()
    first, last = view_range or (1, len(lines))
    last = len(lines) if last == -1 else last
    if not 1 <= first <= max(1, len(lines)) or last < first:
        raise ToolError("view_range [%d, %d] does not fit a file of %d lines" % (first, last, len(lines)))
    return "".join("%6d\t%s\n" % (number, line) for number, line in enumerate(lines[first - 1 : last], first))


def text_of(path):
    """A file's text, for editing."""
    try:
        return read_regular(path, VIEW_BYTES_MAX).decode("utf-8")
    except UnicodeDecodeError:
        raise ToolError(path + " is not UTF-8 text")


def str_replace(path, old, new):
    """Replace the one place where `old` stands."""
    text = text_of(path)
    count = text.count(old) if old else 0
    if count != 1:
        raise ToolError("old_str stands %d times in %s; it must stand there exactly once" % (count, path))
    write_regular(path, text.replace(old, new).encode("utf-8"))
    return "%s: replaced" % path


def insert(path, line, new):
    """Insert text after a line (0: at the beginning)."""
    lines = text_of(path).splitlines(keepends=True)
    if not 0 <= line <= len(lines):
        raise ToolError("insert_line %d does not fit a file of %d lines" % (line, len(lines)))
    if lines and line == len(lines) and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    lines.insert(line, new if new.endswith("\n") else new + "\n")
    write_regular(path, "".join(lines).encode("utf-8"))
    return "%s: inserted after line %d" % (path, line)
