"""A driver that also says where a file spends its time: a thread looks at the main one every few milliseconds.

Not for a measured sample: the thread takes time of its own, and what it says is the guest's word.
"""

import threading
import time

LOOK_S = 0.005  # chosen: hundreds of looks at a call of seconds, and about one percent of its time
# Seconds of a file that are watched at the least, and the most calls for it. chosen: enough looks at milliseconds.
WATCHED_S, CALLS_MAX = 1.0, 100
STACKS_MAX = 2000  # chosen: more different stacks than any file of a task has
NAME_CHARS_MAX = 200  # chosen: well over any honest name
FRAMES_MAX = 60  # chosen: frames of a stack that are looked at; deeper ones are cut at the bottom


class Watcher(threading.Thread):
    """Counts the stacks of a thread, as far as they are the file's own; each look counts with the time since the last."""

    def __init__(self, watched, path):
        super().__init__(daemon=True)
        self.watched, self.path, self.seconds, self.looks = watched, path, {}, 0
        self.done, self.looking = threading.Event(), False

    def run(self):
        last = time.perf_counter()
        while not self.done.wait(LOOK_S):
            if not self.looking:
                last = time.perf_counter()
                continue
            frame, now = sys._current_frames().get(self.watched), time.perf_counter()
            stack = ";".join(reversed(self.names(frame)))
            if stack in self.seconds or len(self.seconds) < STACKS_MAX:
                self.seconds[stack] = self.seconds.get(stack, 0.0) + now - last
            self.looks, last = self.looks + 1, now

    def names(self, frame):
        """Qualified names of the file's own functions, the innermost first."""
        found = []
        while frame is not None and len(found) < FRAMES_MAX:
            code = frame.f_code
            if code.co_filename == self.path:
                found.append(qualified(frame))
            frame = frame.f_back
        return found


def qualified(frame):
    """`Class.method`, or a function's name; Python before 3.11 does not know the class, its instance may."""
    name = getattr(frame.f_code, "co_qualname", None)
    if name is None:
        owner = type(frame.f_locals.get("self")).__name__ if "self" in frame.f_locals else ""
        name = owner + "." + frame.f_code.co_name if owner else frame.f_code.co_name
    return name.split(".<")[0][:NAME_CHARS_MAX]  # what is defined inside a function counts as that function


class Profiler(Driver):
    """Answers one more request."""

    def do_profile(self, sequence, head, body):
        """Run the file and call its entry, watched, more than once where that is short; says where the time went."""
        path = WORKSPACE_FOLDER + head["file"]
        watcher = Watcher(threading.get_ident(), path)
        self.let_go(goes_on=False)
        try:
            module = load(body, path)
            watcher.start()
            seconds, calls = 0.0, 0
            while seconds < WATCHED_S and calls < CALLS_MAX:
                inputs = copy.deepcopy(self.inputs)  # a call may change its arguments; each gets its own
                watcher.looking, begun = True, time.perf_counter()
                call_entry(module, head, inputs)
                watcher.looking = False
                seconds, calls = seconds + time.perf_counter() - begun, calls + 1
        except BaseException as error:
            self.wire.write(FAILED, sequence, failure("call", error))
            return
        finally:
            watcher.done.set()
        watcher.join()
        said = {"seconds": seconds / calls, "looks": watcher.looks, "stacks": watcher.seconds}
        self.wire.write(REPLY, sequence, {"ok": True}, json.dumps(said).encode())


Driver = Profiler
