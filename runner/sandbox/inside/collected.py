"""Work as it was left in a workspace: the files below some of its paths, as one run of bytes; and what the image has of it.

What an image wants a workspace to hold lies in the image under `PRISTINE`, with the same paths. A link of the image's own is
no file of the work, and is there wherever the image is; every other link is refused.
"""

PRISTINE = "/.runner/workspace"


def collected(root, paths, left_out, bytes_max, files_max):
    """The files below paths of a workspace (a descriptor); a path where nothing is has none.

    Args:
        left_out: paths that do not count, though they lie below another one.

    Raises BadBundle for links, special files, and more or larger files than allowed.
    """
    return bundle_of(files_at(root, paths, left_out), bytes_max, files_max)


def files_at(root, paths, left_out):
    """(path, name, descriptor of its folder) of each file, in the order of the paths."""

    def is_left_out(path, entry, here):
        return path in outside or (entry.is_symlink() and is_pristine_link(path, os.fsencode(entry.name), here))

    for path in map(os.fsencode, paths):
        outside = {os.fsencode(other) for other in left_out if os.fsencode(other) != path}
        *steps, name = [step for step in path.split(b"/") if step != b"."] or [b"."]
        opened = [os.dup(root)]
        try:
            try:
                for step in steps:
                    opened.append(open_folder(step, opened[-1]))
                mode = os.stat(name, dir_fd=opened[-1], follow_symlinks=False).st_mode
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(mode):
                opened.append(open_folder(name, opened[-1]))
                yield from files_below(opened[-1], b"" if name == b"." else path, is_left_out)
            elif stat.S_ISREG(mode):
                yield path, name, opened[-1]
            elif not is_pristine_link(path, name, opened[-1]):
                raise BadBundle("%r is a link or a special file: only regular files count" % path[:200])
        except NotADirectoryError:
            raise BadBundle("a step of %r is a link or not a folder" % path[:200])
        finally:
            for each in reversed(opened):
                os.close(each)


def is_pristine_link(path, name, here):
    """Whether an entry is a link that the image has at the same path, to the same place."""
    try:
        target = os.readlink(name, dir_fd=here)
        return target == os.readlink(os.path.join(os.fsencode(PRISTINE), path))
    except OSError:
        return False


def pristine_content(path, bytes_max):
    """The bytes of the image's own regular file at a path; None where it has none, or a larger one."""
    try:
        file = os.open(
            os.path.join(os.fsencode(PRISTINE), path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        return None
    with open(file, "rb") as reading:
        content = reading.read(bytes_max + 1)
    return content if len(content) <= bytes_max else None
