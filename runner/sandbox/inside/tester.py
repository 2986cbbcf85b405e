"""PID 1 of a container in which a task's own script tests what an agent left.

The work is put there, the script runs, and the reward that it wrote is read once.

The script may run what the agent left, so nothing that runs here is trusted. What PID 1 sees to: the folder for the reward
is a new one, and the same one when it is read; no link is followed; nobody is at work any more when it is read; and what a
Python or a pytest takes up by itself, without being asked for, is not carried over from the work.
"""

HOME = "/tmp"  # what programs look for at home is none of the work
LOGS = ".logs"  # in the workspace, where the image's /logs leads
REWARDS = ("reward.json", "reward.txt")  # the first that is there counts
OWNERS_FOLDER = stat.S_IWUSR | stat.S_IXUSR  # without these bits nothing is made in a folder
ENTRY_BYTES_MAX = 8 * 1024 * 1024  # chosen: of a file of the image's that is compared with one of the work's
SECOND_BYTES_MAX = 1000  # chosen: of a second reward, which is a number; it goes into the answer's head
NAMES_MAX = 20  # chosen: of files and processes that are named
# What is found without being named by anybody: by a Python that starts, or by a pytest that looks for its settings.
STEERING_FILES = {b"conftest.py", b"pytest.ini", b".pytest.ini", b"pytest.toml", b".pytest.toml"}
STEERING_MODULES = {b"sitecustomize", b"usercustomize", b"pytest", b"_pytest", b"pluggy"}
MODULE_ENDS = (b".py", b".so")  # the second with a tag before it, or without
STEERING_FOLDERS = {*STEERING_MODULES, b"site-packages", b"dist-packages"}
# The second in any letters: so Python finds what is installed.
STEERING_ENDS, STEERING_FOLDER_ENDS = (b".pth", b".egg-link"), (b".dist-info", b".egg-info")
PROJECT = b"pyproject.toml"  # of many tools, pytest among them
# Others hold settings of pytest among theirs.
SETTINGS = {
    b"tox.ini": (b"[pytest", b"pytest]"),
    b"setup.cfg": (b"tool:pytest",),
}
# Made again by whoever needs them, and read in the place of their sources.
CACHE_FOLDERS, CACHE_ENDS = {b"__pycache__", b".pytest_cache"}, (b".pyc", b".pyo")


class NotCollected(Exception):
    """Files that are not of the work that the task asks for; the text says why."""


def is_cache(path):
    *folders, name = path.split(b"/")
    return bool(CACHE_FOLDERS.intersection(folders)) or name.endswith(CACHE_ENDS)


def steers(path, body):
    """Whether a file is taken up by what runs the tests, without being asked for."""
    *folders, name = path.split(b"/")
    if name in STEERING_FILES or name.endswith(STEERING_ENDS) or STEERING_FOLDERS.intersection(folders):
        return True
    if name.endswith(MODULE_ENDS) and name.split(b".")[0] in STEERING_MODULES:
        return True
    if any(folder.lower().endswith(STEERING_FOLDER_ENDS) for folder in folders):
        return True
    if name == PROJECT:
        return sets_pytest(body)
    return any(words in body for words in SETTINGS.get(name, ()))


def sets_pytest(body):
    """Whether a pyproject.toml holds settings of pytest, in whichever way they are written."""
    try:
        import tomllib  # from Python 3.11 on

        tools = tomllib.loads(body.decode("utf-8")).get("tool")
        return isinstance(tools, dict) and "pytest" in tools
    except (ImportError, ValueError, RecursionError):
        bare = body.translate(None, b" \t\r\n\"'")
    if any(escape in body for escape in (b"\\u", b"\\U", b"\\x")):
        return True  # a name may be spelled in them
    return b"tool.pytest" in bare or (b"pytest" in bare and (b"[tool]" in bare or b"tool={" in bare))


class Everything(Running):
    """A process whose output has no limit: the end of it is kept."""

    def read(self):
        self.reading = self.take(self.reading, self.said, None)


class Tester(Serving):
    def do_test(self, sequence, head, body):
        """Put the work there, run the script, and answer with the reward's file and what there is to say of it."""
        said, reward = {"status": None, "memory": False, "said": "", "left": [], "dropped": [], "wrong": ""}, b""
        try:
            said["dropped"] = put_work(body, head["paths"], head["merge"])
            logs = make_logs()
        except (BadBundle, NotCollected) as error:
            said["refused"] = str(error)[:1000]
        except (OSError, RecursionError) as error:
            said["refused"] = "its files cannot be put there: " + str(error)[:500]
        else:
            reward = self.test(head, said, logs)
        self.wire.write(ANSWER, sequence, said, reward)

    def test(self, head, said, logs):
        """The bytes of the reward's file in its folder (a descriptor); what else was seen goes into `said`."""
        environment = {**os.environ, "HOME": HOME, **head["env"]}
        environment["PATH"] = without_work(environment.get("PATH", os.defpath))
        kills = MemoryKills()
        running = Everything(head["argv"], b"", 0, True, head["where"], environment)
        running.follow(self.wire.reading, self.woken)
        stop_everything()  # before anything is read: who is left has no say any more
        said["status"], said["memory"], said["host_short"] = running.status, kills.any(), kills.are_hosts()
        said["said"] = bytes(running.said).decode("utf-8", "replace")
        said["left"] = [name_of_process(pid) for pid, _ in others()][:NAMES_MAX]
        try:
            (said["file"], reward), *beside = read_rewards(logs, head["reward_max"])
            said["beside"] = {name: content.decode("utf-8", "replace") for name, content in beside}
        except NotCollected as error:
            said["wrong"], reward = str(error), b""
        if not end_everything():
            said["wrong"] = said["wrong"] or "its processes could not be ended"
        return reward


def without_work(path):
    """Where programs are looked for, but for folders that the work can fill: no program of its own stands for another."""
    inside = (WORKSPACE, HOME, "/dev/shm")
    kept = []
    for folder in path.split(":"):
        real = os.path.realpath(folder)
        if folder.startswith("/") and not any(real == top or real.startswith(top + "/") for top in inside):
            kept.append(folder)
    return ":".join(kept)


def put_work(content, paths, merge):
    """Fill the workspace: with what the image holds, and the work.

    Args:
        paths: what the work may hold.
        merge: put it over what the image holds at these paths; else it takes the place of that.

    Returns names of files that were not taken over.
    """
    root, taken, dropped = os.fsencode(WORKSPACE), [os.fsencode(path) for path in paths], []
    entries = [(path, run, body) for path, run, body in unbundled(content) if not is_cache(path)]
    for path, _, _ in entries:
        if not is_below(path, taken):
            raise NotCollected("%r is none of the files that the task collects" % path[:200])
    copy_pristine([] if merge else taken)
    for path, executable, body in entries:
        own = pristine_content(path, ENTRY_BYTES_MAX)
        if path not in taken and steers(path, body) and body != own:
            dropped.append(path)
            if own is None:
                continue
            body = own
        whole = os.path.join(root, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        file = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(file, "wb") as writing:
            writing.write(body)
            os.fchmod(file, 0o755 if executable else 0o644)
    return [path.decode("utf-8", "backslashreplace")[:200] for path in dropped[:NAMES_MAX]]


def is_below(path, above):
    return any(each in (b".", path) or path.startswith(each + b"/") for each in above)


def copy_pristine(replaced):
    """What the image wants the workspace to hold; of replaced paths only its folders, its links, and what steers."""
    top = os.fsencode(PRISTINE)
    for folder, folders, names in os.walk(top):
        inner = os.path.relpath(folder, top)
        here = os.path.normpath(os.path.join(os.fsencode(WORKSPACE), inner))
        os.makedirs(here, exist_ok=True)
        for name in (*folders, *names):
            source, target = os.path.join(folder, name), os.path.join(here, name)
            if os.path.islink(source):
                os.symlink(os.readlink(source), target)
            elif name in names and is_kept(os.path.normpath(os.path.join(inner, name)), replaced):
                copy_file(source, target)


def is_kept(path, replaced):
    """Whether a file of the image's is there even where the work does not have it: what steers the tests is."""
    return not is_below(path, replaced) or steers(path, pristine_content(path, ENTRY_BYTES_MAX) or b"")


def copy_file(source, target):
    with open(source, "rb") as reading, open(target, "wb") as writing:
        while True:
            part = reading.read(1 << 20)
            if not part:
                break
            writing.write(part)
        os.fchmod(writing.fileno(), (os.fstat(reading.fileno()).st_mode & 0o777) | 0o600)
        about = os.fstat(reading.fileno())
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))


def make_logs():
    """A new folder for the reward; a descriptor of it."""
    logs = os.path.join(WORKSPACE, LOGS)
    for name in ("agent", "artifacts"):
        os.makedirs(os.path.join(logs, name), exist_ok=True)
    os.mkdir(os.path.join(logs, "verifier"), 0o700)
    return open_folder(os.path.join(logs, "verifier"))


def read_rewards(logs, bytes_max):
    """(name, bytes) of each file with a reward in their folder (a descriptor); the first one counts.

    Raises NotCollected where there is none, something else in its place, or where the script could not have written there:
    what is there then may be the work's.
    """
    try:
        now, then = os.stat(os.path.join(WORKSPACE, LOGS, "verifier"), follow_symlinks=False), os.fstat(logs)
    except OSError:
        raise NotCollected("the folder for the reward is gone")
    if (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino):
        raise NotCollected("another folder, or a link, stands in the place of the one for the reward")
    if then.st_mode & OWNERS_FOLDER != OWNERS_FOLDER:
        raise NotCollected("the folder for the reward cannot be written")
    room = os.fstatvfs(logs)
    if room.f_bavail == 0 or (room.f_files > 0 and room.f_favail == 0):
        raise NotCollected("the workspace is full: the script could not have written there")
    found = []
    for name in REWARDS:
        content = read_reward(name, logs, SECOND_BYTES_MAX if found else bytes_max)
        if content is not None:
            found.append((name, content))
    if not found:
        raise NotCollected("the script wrote neither reward.json nor reward.txt")
    return found


def read_reward(name, logs, bytes_max):
    """The bytes of one of these files; None where it is not there."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=logs)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotCollected("%s is a link, or cannot be read: %s" % (name, os.strerror(error.errno or 0)))
    about = os.fstat(file)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
        os.close(file)
        raise NotCollected("%s is not a regular file of one name" % name)
    with open(file, "rb") as reading:
        if not about.st_mode & stat.S_IWUSR:
            raise NotCollected("%s cannot be written: the script could not have changed it" % name)
        content = reading.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise NotCollected("%s has more than %d bytes" % (name, bytes_max))
    return content


def name_of_process(pid):
    try:
        with open("/proc/%d/comm" % pid, "rb") as file:
            return file.read(100).strip().decode("utf-8", "backslashreplace")
    except OSError:
        return "?"


serve_host(Tester)
