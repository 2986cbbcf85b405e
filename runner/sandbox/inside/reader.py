"""PID 1 of a sandbox that reads the image's files, so that the kernel holds their pages when something is measured.

Asked to, it also hashes what of it is run: a fresh container has the pages that all containers of the host share, and a
kernel's hole (CVE-2022-0847, CVE-2026-31431) lets a guest change them without a file being written.

A page that is there takes a microsecond, one that must be fetched twenty or more: without this, the first sample that
needs a file would pay for those after it, and what a sample has read could be told by the next one. A first request reads
everything; what nobody may read, no sample can either.
"""

import hashlib
import stat

READ_BYTES = 1024 * 1024  # chosen: larger is no faster


def regular_files(top):
    """Paths of what may be regular files, on the file system of `top` alone."""
    device = os.stat(top).st_dev

    def is_here(path):
        try:
            return os.lstat(path).st_dev == device
        except OSError:
            return False

    for here, folders, names in os.walk(top):
        folders[:] = [name for name in folders if is_here(os.path.join(here, name))]
        for name in names:
            yield os.path.join(here, name)


def read_whole(path, buffer, digest=None):
    """Read a regular file to its end; how many bytes it has, 0 for anything else."""
    read, view = 0, memoryview(buffer)
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        while stat.S_ISREG(os.fstat(file).st_mode):
            count = os.readv(file, [buffer])
            if not count:
                break
            read += count
            if digest is not None:
                digest.update(view[:count])
    except OSError:
        pass
    finally:
        os.close(file)
    return read


# What a process runs or loads, by its name, and what becomes a part of each program that is linked in there; the rest of an
# image is texts and tables, of which a sample reads what it wants.
LOADED = (".so", ".py", ".pyc", ".pth", ".zip", ".a", ".o")


def is_run(path):
    """Whether what a file holds is run: a program, or a part of one."""
    name = os.path.basename(path)
    return name.endswith(LOADED) or ".so." in name or os.access(path, os.X_OK)


def fields(path, names):
    """Paragraphs of a file of `Name: value` lines, each as a tuple of these fields' values; what lacks one is left out."""
    found = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    if len(found) == len(names):
                        yield tuple(found[name] for name in names)
                    found = {}
                    continue
                name, colon, value = line.partition(": ")
                if colon and name in names and name not in found:
                    found[name] = value.strip()
    except OSError:
        return
    if len(found) == len(names):
        yield tuple(found[name] for name in names)


def packages():
    """[type, name, version] of what dpkg and Python's distributions say is installed."""
    listed = fields("/var/lib/dpkg/status", ("Package", "Version", "Status"))
    found = [["deb", name, version] for name, version, status in listed if status == "install ok installed"]
    for path in regular_files("/"):
        if path.endswith(".dist-info/METADATA"):
            found += [["python", name, version] for name, version in list(fields(path, ("Name", "Version")))[:1]]
    return found


def main():
    wire = take_over()
    hide_memory()
    wire.write(HELLO, 0, {"seen": first_look()})
    host = select.poll()
    host.register(wire.reading, 0)  # tells of its end alone
    frame, buffer, total, lines = wire.read(), bytearray(READ_BYTES), 0, []
    if frame is not None and frame[2]["op"] == "packages":
        wire.write(REPLY, frame[1], {"ok": True}, json.dumps({"packages": packages()}).encode())
        wire.read()
        return
    for path in regular_files("/"):
        if frame is None or host.poll(0):
            return
        digest = hashlib.sha256() if frame[2].get("hash") and is_run(path) else None
        count = read_whole(path, buffer, digest)
        if count and digest:  # a name as Python writes it: whatever bytes it has, it is one line
            lines.append(digest.hexdigest() + " " + ascii(path))
        total += count
    wire.write(REPLY, frame[1], {"ok": True, "bytes": total}, "\n".join(sorted(lines)).encode())
    wire.read()  # the host ends the container


main()
