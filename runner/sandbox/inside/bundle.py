"""Several files as one run of bytes, the same on both sides of the wall: nothing here is an archive that a library unpacks.

A line that names the form, then for each file a line of three numbers (1 where it may be executed, length of its path,
length of its content) with path and content after it. Paths are relative, their steps are names; links and special files
have no form.
"""

BUNDLE = b"runner files 1\n"
NAME_BYTES_MAX = 1024  # chosen: of a path
NUMBERS_BYTES_MAX = 48  # chosen: three numbers and a line feed
FILES_MAX = 4096  # chosen: bounds what a bundle of empty files costs


class BadBundle(Exception):
    """Bytes that are not such files, or files that have no such form; the text says why."""


def unbundled(content):
    """(path, whether it may be executed, bytes) of each file."""
    if not content.startswith(BUNDLE):
        raise BadBundle("these are not the files of a folder")
    at, count = len(BUNDLE), 0
    while at < len(content):
        end, count = content.find(b"\n", at, at + NUMBERS_BYTES_MAX), count + 1
        numbers = content[at:end].split(b" ") if end >= 0 else []
        if len(numbers) != 3 or not all(number.isdigit() for number in numbers) or count > FILES_MAX:
            raise BadBundle("the list of files is broken")
        executable, name_bytes, body_bytes = map(int, numbers)
        name, body = end + 1, end + 1 + name_bytes
        at = body + body_bytes
        if name_bytes > NAME_BYTES_MAX or at > len(content):
            raise BadBundle("the list of files is broken")
        path = content[name:body]
        if b"\0" in path or any(step in (b"", b".", b"..") for step in path.split(b"/")):
            raise BadBundle("a path leaves its folder")
        yield path, bool(executable), content[body:at]


def bundled(folder, bytes_max, files_max):
    """The files below a folder (a descriptor) as one run of bytes; follows no link.

    Raises BadBundle for links, special files, and more or larger files than allowed.
    """
    return bundle_of(files_below(folder), bytes_max, files_max)


def bundle_of(found, bytes_max, files_max):
    """Files as one run of bytes: (path, name, descriptor of the folder that holds it) of each.

    Raises BadBundle as `bundled`.
    """
    parts, left, count = [BUNDLE], bytes_max, 0
    for path, name, here in found:
        count += 1
        if count > files_max:
            raise BadBundle("the folder holds more than %d files" % files_max)
        if len(path) > NAME_BYTES_MAX:
            raise BadBundle("a path has more than %d bytes: %r..." % (NAME_BYTES_MAX, path[:200]))
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
        with open(file, "rb") as reading:
            about = os.fstat(file)
            body = reading.read(left + 1) if stat.S_ISREG(about.st_mode) else None
        if body is None:
            raise BadBundle("%r is not a regular file any more" % path[:200])
        left -= len(body)
        if left < 0:
            raise BadBundle("the files have more than %d bytes" % bytes_max)
        parts.append(b"%d %d %d\n" % (bool(about.st_mode & 0o100), len(path), len(body)) + path + body)
    return b"".join(parts)


def open_folder(name, above=None):
    """A descriptor of a folder, by its name in another one; no link is followed."""
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)


def none_left_out(path, entry, here):
    return False


def files_below(folder, above=b"", left_out=none_left_out, levels=16):
    """(path, name, descriptor of its folder) of each regular file below a folder (a descriptor), in the order of names.

    The descriptor is open until the next one is asked for: a folder that becomes a link meanwhile leads nowhere else.

    Args:
        above: the path of the folder, which theirs begin with.
        left_out: (path, entry, descriptor) -> whether it does not count.
    """
    with os.scandir(folder) as entries:
        names = sorted((os.fsencode(entry.name), entry) for entry in entries)
    for name, entry in names:
        path = above + b"/" + name if above else name
        if left_out(path, entry, folder):
            continue
        if entry.is_dir(follow_symlinks=False):
            if not levels:
                raise BadBundle("the folders lie too deep")
            deeper = open_folder(name, folder)
            try:
                yield from files_below(deeper, path, left_out, levels - 1)
            finally:
                os.close(deeper)
        elif entry.is_file(follow_symlinks=False):
            yield path, name, folder
        else:
            raise BadBundle("%r is a link or a special file: only regular files count" % path[:200])
