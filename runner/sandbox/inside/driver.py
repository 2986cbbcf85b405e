"""A measured sample: PID 1, which only watches for the host's end, and its worker, in which everything happens.

Set up while the clock stands: import what the task names, read the data, say *ready*. Then one frame brings the file
under test; from there on nothing in the worker is trusted, and nothing in it is asked for the time. The answer is the raw
bytes of the arrays that the host declared, one frame, and then the host ends the container. The worker is forked off
before it imports anything, so that no page is shared that would have to be copied on the clock.
"""

import builtins
import copy
import types

WORKSPACE_FOLDER = "/workspace/"
TAKES_ANY_NAME, TAKES_ANY = 0x08, 0x0C  # of a code's flags (`inspect.CO_VARKEYWORDS`, which would be one more import)
# Of parameters that a probe draws. chosen: the order of what layers of a hundred inputs begin with.
PARAMETER_SCALE = 0.1


def dotted(name):
    """The module or attribute of a dotted name."""
    import importlib

    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


def preload(names):
    """Import modules without binding them here; returns what could not be imported.

    The garbage collector rests meanwhile: it would look through what was imported again and again, and find nothing. What
    is there at the end is no garbage of the file under test, and no collection on its clock looks through it.
    """
    import gc
    import importlib

    gc.disable()
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            failed[name] = repr(error)[:500]
    gc.freeze()
    gc.enable()
    return failed


def arrays_from(body, layout):
    """Raw little-endian bytes as arrays (writable copies); a shape of [] becomes a Python number."""
    import numpy

    made, at = {}, 0
    for name, dtype, shape in layout:
        kind = numpy.dtype(dtype).newbyteorder("<")
        count = 1
        for length in shape:
            count *= length
        array = numpy.frombuffer(body, dtype=kind, count=count, offset=at).reshape(shape).astype(dtype)
        made[name] = array if shape else array.item()
        at += count * kind.itemsize
    return made


def calls_from(body, layout, count):
    """The arguments of each call of a sample; of several each gets arrays of its own, which share no memory."""
    made = arrays_from(body, layout)
    if count == 1:
        return [made]
    return [
        {name: stack[number].copy() if stack.ndim > 1 else stack[number].item() for name, stack in made.items()}
        for number in range(count)
    ]


class InvalidAnswer(Exception):
    """The answer does not have the declared form."""


def to_array(value, dtype=None):
    """A numpy array of what came back; tensors are detached. With a dtype, any real numbers become such."""
    import numpy

    if hasattr(value, "detach"):
        value = value.detach().cpu()
        # Not every dtype of a tensor (bfloat16, say) is one of numpy's.
        value = (value.double() if dtype else value).numpy()
    array = numpy.asarray(value)
    return array.astype(dtype) if dtype and array.dtype.kind in "biuf" else array


def to_bytes(values, layout):
    """The answer's arrays as raw little-endian bytes, each of exactly the declared dtype and shape."""
    return b"".join(parts_of(values, layout))


def parts_of(values, layout):
    """The same, array by array."""
    import numpy

    parts = []
    for (name, dtype, shape), value in zip(layout, values):
        array = to_array(value)
        if array.dtype != numpy.dtype(dtype) or list(array.shape) != list(shape):
            raise InvalidAnswer(
                "%s is %s%s, asked for was %s%s" % (name, array.dtype, list(array.shape), dtype, list(shape))
            )
        parts.append(numpy.ascontiguousarray(array, dtype=numpy.dtype(dtype).newbyteorder("<")).tobytes())
    return parts


def load(source, path):
    """The file under test as a module of a neutral name; from here on nothing is trusted."""
    with open(path, "wb") as file:
        file.write(source)
    module = types.ModuleType("submission")
    module.__file__ = path
    sys.modules["submission"] = module
    builtins.exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    return module


def call_with(function, inputs):
    """Call a function with inputs by name; in their order where its parameters have other names, or take none by name."""
    inner = function
    code = getattr(inner, "__code__", None)
    while code is not None and code.co_flags & TAKES_ANY == TAKES_ANY:
        # It hands on whatever it gets, to what it is wrapped around.
        inner = getattr(inner, "__wrapped__", None)
        code = getattr(inner, "__code__", None)
    if code is None or code.co_flags & TAKES_ANY_NAME:
        return function(**inputs)
    count = code.co_argcount + code.co_kwonlyargcount
    by_name = code.co_varnames[getattr(code, "co_posonlyargcount", 0) : count]
    return function(**inputs) if all(name in by_name for name in inputs) else function(*inputs.values())


def call_entry(module, head, inputs):
    """The timed call."""
    answer = call_with(getattr(module, head["entry"]), inputs)
    if not isinstance(answer, dict):
        raise InvalidAnswer("the answer is of type %s, asked for was a dict of arrays" % type(answer).__name__)
    missing = [name for name, _, _ in head["answer"] if name not in answer]
    if missing:
        raise InvalidAnswer("the answer lacks " + ", ".join(missing))
    return [answer[name] for name, _, _ in head["answer"]]


def call_all(module, head, calls):
    """The timed calls of a sample, one after the other: each array of all answers as one, with an axis for the calls.

    What a call returns is taken as bytes before the next one begins, which may write into the same memory.
    """
    import numpy

    layout = [(name, dtype, shape[1:]) for name, dtype, shape in head["answer"]]
    answers = [parts_of(call_entry(module, head, inputs), layout) for inputs in calls]
    return [
        numpy.frombuffer(b"".join(parts), dtype=numpy.dtype(dtype).newbyteorder("<")).reshape(shape).astype(dtype)
        for (_, dtype, shape), parts in zip(head["answer"], zip(*answers))
    ]


def components_of(module, components, instances=()):
    """Of the named classes those that the module has, each with those of its methods that it, or an instance, has.

    An instance has what its constructor gives it: a layer in place of a method, say.
    """
    kinds = {name: getattr(module, name, None) for name in components}
    return {
        name: [
            method
            for method in components[name]
            if any(callable(getattr(one, method, None)) for one in (kind, *(i for i in instances if type(i) is kind)))
        ]
        for name, kind in kinds.items()
        if isinstance(kind, type)
    }


def call_probe(module, head, inputs, instances):
    """One method of one component on probe inputs; on the instance of the last probe unless a fresh one is asked for."""
    name = head["component"]
    if not head["fresh"] and name in instances:
        return call_method(instances[name], head, inputs)
    kind, errors = getattr(module, name), []
    for make in ways_to_make(kind, head["init"]):
        try:
            instances[name] = make(module, head, instances)
            return call_method(instances[name], head, inputs)
        except NeverMade:
            continue
        except Exception as error:
            errors.append(error)
    raise errors[0]


def call_method(made, head, inputs):
    """The arrays that a method gives, of the form that is asked for."""
    if head["draw"] is not None:
        draw_parameters(made, head["parameters"], head["draw"], head["shapes"])
    convert = dotted(head["convert"]) if head["convert"] else (lambda value: value)
    found = call_in_some_dtype(getattr(made, head["method"]), list(inputs.values()), convert)
    if len(head["answer"]) == 1:
        found = [found]
    elif len(found) != len(head["answer"]):
        raise InvalidAnswer("%d arrays came back, asked for were %d" % (len(found), len(head["answer"])))
    dtypes = [dtype if name in head["any_dtype"] else None for name, dtype, _ in head["answer"]]
    arrays = [to_array(value, dtype) for value, dtype in zip(found, dtypes)]
    to_bytes(arrays, head["answer"])  # raises where their form is another one
    return arrays


class NeverMade(Exception):
    """No instance of the class was made while the entry ran, or none is there."""


def ways_to_make(kind, init):
    """How an instance is made, the likelier first: a constructor that does not take as many arguments as the baseline's may
    read those as something else, without an error."""
    import inspect

    own = with_own_arguments, copy_of_another
    try:
        kinds = [parameter.kind for parameter in inspect.signature(kind).parameters.values()]
    except (TypeError, ValueError):
        return (with_baselines_arguments, *own)
    positional = sum(each in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in kinds)
    if positional == len(init) or any(each is each.VAR_POSITIONAL for each in kinds):
        return (with_baselines_arguments, *own)
    return (*own, with_baselines_arguments)


def with_baselines_arguments(module, head, instances):
    return getattr(module, head["component"])(*head["init"])


def with_own_arguments(module, head, instances):
    """With the arguments that the file itself makes its first instance with."""
    key, kind = ("arguments of", head["component"]), getattr(module, head["component"])
    if key not in instances:
        instances[key] = arguments_in_use(kind, lambda: call_with(getattr(module, head["entry"]), head["call"]))
    if not instances[key]:
        raise NeverMade(head["component"])
    given, named = instances[key][0]
    return kind(*given, **named)


def copy_of_another(module, head, instances):
    """Of one that the file made before its entry ran, and still has."""
    import gc

    key, kind = ("made by", head["component"]), getattr(module, head["component"])
    if key not in instances:
        ours = instances.get(head["component"])
        instances[key] = [found for found in gc.get_objects() if type(found) is kind and found is not ours][:1]
    if not instances[key]:
        raise NeverMade(head["component"])
    return copy.deepcopy(instances[key][0])


def arguments_in_use(kind, run):
    """The arguments that the first instance of a class is made with while something runs, whether that succeeds or not."""
    return [(given, named) for _, given, named in made_in_use([kind], run)]


def made_in_use(kinds, run):
    """The first instance of each class that is made while something runs, with its arguments."""
    seen, originals = {}, [(kind, kind.__init__) for kind in kinds]

    def watch(kind, original):
        def watching(self, *given, **named):
            if type(self) is kind:
                seen.setdefault(id(kind), (self, given, named))
            if original is not object.__init__:  # which takes no arguments where it is called by name
                original(self, *given, **named)

        kind.__init__ = watching

    for kind, original in originals:
        watch(kind, original)
    try:
        run()
    except Exception:
        pass  # timed samples show what becomes of the entry; here only the instances count
    finally:
        for kind, original in reversed(originals):  # a class may have two names
            kind.__init__ = original
    return list(seen.values())


def draw_parameters(made, name, seed, shapes=()):
    """Other values for an instance's parameters: those that its method `name` yields, or else the arrays that it holds.

    They follow from the seed, the shape and how many of this shape came before, so that two classes that hold the same
    parameters get the same values, in whichever order, and whichever way a matrix stands, or a vector, as a matrix of one
    row; or all of them, of the given shapes, one after the other in one vector.
    """
    method, count = getattr(made, name, None), {}
    # Each once: what has two names would get the values of a second array.
    for held in {id(each): each for each in arrays_in(method() if callable(method) else vars(made))}.values():
        if not hasattr(held, "detach"):
            held[...] = drawn_values(held.shape, seed, count, shapes)
            continue
        drawn = held.detach()  # shares its memory
        drawn.copy_(drawn.new_tensor(drawn_values(tuple(held.shape), seed, count, shapes)))


def arrays_in(held):
    """The arrays and tensors of real numbers that something is or yields, in whatever: by name, in pairs, layer by layer."""
    import numpy

    if isinstance(held, numpy.ndarray):
        yield from [held] if held.dtype.kind == "f" else []
    elif hasattr(held, "is_floating_point"):
        yield from [held] if held.is_floating_point() else []
    else:
        for part in held.values() if isinstance(held, dict) else held:
            is_tensor = hasattr(part, "is_floating_point") and not isinstance(part, type)
            if is_tensor or isinstance(part, (dict, list, tuple, numpy.ndarray)):
                yield from arrays_in(part)


def drawn_values(shape, seed, count, shapes=()):
    """Normal values of a shape; of a matrix the same ones for its transpose's; of a vector of all shapes those of each."""
    import numpy

    if len(shapes) > 1 and tuple(shape) == (sum(int(numpy.prod(each)) for each in shapes),):
        inner = {}
        return numpy.concatenate([drawn_values(tuple(each), seed, inner).ravel() for each in shapes])
    key = tuple(sorted(shape)) if len(shape) == 2 else tuple(shape)
    if len(key) == 2 and key[0] == 1 and shapes and key not in [tuple(sorted(each)) for each in shapes]:
        return drawn_values(key[1:], seed, count, shapes).reshape(shape)  # a vector that stands as a matrix
    count[key] = count.get(key, 0) + 1
    values = numpy.asarray(numpy.random.RandomState([seed, count[key], *key]).standard_normal(key))
    if len(shape) == 2 and shape[0] == shape[1]:
        values = (values + values.T) / 2**0.5  # which way it stands cannot be seen
    return PARAMETER_SCALE * (values if key == tuple(shape) else values.T)


def call_in_some_dtype(method, values, convert):
    """What a method gives on the values; where it raises, on the same in another floating type, the widest first.

    A number is handed on as it is.
    """
    first = None
    for cast in (as_it_is, other_width, brain_float, half):
        try:
            return method(*[cast(value.copy(), convert) if hasattr(value, "copy") else value for value in values])
        except Exception as error:
            first = first or error
    raise first


def as_it_is(value, convert):
    return convert(value)


def other_width(value, convert):
    return convert(value.astype({"float32": "float64", "float64": "float32"}.get(value.dtype.name, value.dtype)))


def brain_float(value, convert):
    """As bfloat16, which tensors alone have."""
    made = convert(value)
    return made.bfloat16() if hasattr(made, "bfloat16") and value.dtype.kind == "f" else made


def half(value, convert):
    return convert(value.astype("float16") if value.dtype.kind == "f" else value)


def failure(stage, error):
    """What the host is told of an exception; bounded, since it comes from the file under test."""
    import traceback

    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    said = str(error) if isinstance(error, InvalidAnswer) else type(error).__name__ + ": " + str(error)
    return {"stage": stage, "error": said[:2000], "traceback": text[-8000:]}


class Driver:
    """Answers requests; after the first `load` or `go` it is the guest's.

    Attributes:
        passed, asking: where PID 1 passes requests on, once `asking` is closed; None where there is no such way.
    """

    def __init__(self, wire, passed=None, asking=None):
        self.wire, self.module, self.calls, self.instances = wire, None, [{}], {}
        self.passed, self.asking = passed, asking

    @property
    def inputs(self):
        """The arguments of the first call."""
        return self.calls[0]

    def serve(self):
        while answer_one(self):
            pass

    def let_go(self, goes_on):
        """Give up the wire's end before a guest's file is there, which could open it for writing, too: then it would never
        end, and PID 1 would live on without a host.

        Args:
            goes_on: more requests follow; PID 1 passes them on from now on. Else it is not even woken.
        """
        if self.passed is None:
            return
        os.dup2(self.passed, self.wire.reading, inheritable=False)
        os.close(self.passed)
        self.passed = None
        if goes_on:
            os.close(self.asking)

    def do_setup(self, sequence, head, body):
        """Import what the task names and read the data, while the clock stands.

        Behind the fence: what comes next is a guest's, and by a limit on PID 1's CPU time it could have the kernel end that,
        which would pass for the host's doing.
        """
        fence()
        failed = preload(head["preload"])
        self.calls = calls_from(body, head["inputs"], head["calls"])
        self.wire.write(READY, sequence, {"failed": failed})

    def do_facts(self, sequence, head, body):
        self.wire.write(REPLY, sequence, {"ok": True}, json.dumps(facts_of(body, head["bytes_max"])).encode())

    def do_load(self, sequence, head, body):
        """Run the file under test, for the probes that follow."""
        self.let_go(goes_on=True)
        try:
            self.module = load(body, WORKSPACE_FOLDER + head["file"])
        except BaseException as error:
            self.wire.write(FAILED, sequence, failure("load", error))
            return
        self.wire.write(ANSWER, sequence, {}, b"")

    def do_describe(self, sequence, head, body):
        """Which of the named classes the module has, and which of their methods: as loaded, or once its entry has run."""
        present, asked = {}, head["components"]
        try:
            present = components_of(self.module, asked)
            if present != asked:
                entry, kinds = getattr(self.module, head["entry"]), [getattr(self.module, name) for name in present]
                made = made_in_use(kinds, lambda: call_with(entry, copy.deepcopy(self.inputs)))
                present = components_of(self.module, asked, [instance for instance, _, _ in made])
        except BaseException as error:
            self.wire.write(FAILED, sequence, dict(failure("describe", error), present=present))
            return
        self.wire.write(ANSWER, sequence, {"present": present})

    def do_probe(self, sequence, head, body):

        def probed():
            # A call of the entry may change its arguments; each gets its own.
            call = copy.deepcopy(self.inputs)
            inputs = arrays_from(body, head["inputs"])
            return call_probe(self.module, dict(head, call=call), inputs, self.instances)

        self.respond(sequence, head, probed)

    def do_go(self, sequence, head, body):
        """The timed request: read, compile and run the file, call it, answer."""

        def whole():
            module = load(body, WORKSPACE_FOLDER + head["file"])
            if len(self.calls) == 1:
                return call_entry(module, head, self.inputs)
            return call_all(module, head, self.calls)

        self.let_go(goes_on=False)
        self.respond(sequence, head, whole)

    def respond(self, sequence, head, produce):
        stage = "call"
        try:
            values = produce()
            stage = "answer"
            content = to_bytes(values, head["answer"])
        except BaseException as error:
            self.wire.write(FAILED, sequence, failure("answer" if isinstance(error, InvalidAnswer) else stage, error))
            return
        self.wire.write(ANSWER, sequence, {}, content)


class Passing:
    """What the host says on its way to the worker, unread and a piece at a time: nothing piles up here."""

    def __init__(self, watch, host, worker):
        self.watch, self.host, self.worker, self.piece = watch, host, worker, b""
        os.set_blocking(worker, False)
        watch.modify(host, select.POLLIN)

    def move(self, ready):
        """Take a piece, or give it on, as far as that can be done now."""
        if self.host in ready:
            self.piece = os.read(self.host, 65536)  # a pipe's buffer on Linux
            self.watch.modify(self.host, 0)
            self.watch.register(self.worker, select.POLLOUT)
        elif self.worker in ready:
            try:
                self.piece = self.piece[os.write(self.worker, self.piece) :]
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.piece = b""  # it reads no more
            if not self.piece:
                self.watch.unregister(self.worker)
                self.watch.modify(self.host, select.POLLIN)


def supervise(wire, worker, asked, passing):
    """PID 1 after the fork: waits for the host to go or for the worker to end, and takes everything with it.

    A closed pipe shows itself as a hang-up, whatever is still unread in it. The kernel ends every other process of the
    container with PID 1. Its status says why it ended; a worker that ends as the host goes did nothing of its own.

    Args:
        asked: ends where requests are to be passed on from now on: the worker has let go of the wire.
        passing: where to.
    """
    hide_memory()
    kills = MemoryKills()
    watch, way = select.poll(), None
    watch.register(wire.reading, 0)
    watch.register(asked, 0)

    def events(wait_ms):
        ready = dict(watch.poll(wait_ms))
        if ready.get(wire.reading, 0) & ~select.POLLIN:
            os._exit(HOST_GONE)
        return ready

    while True:
        ready = events(50)
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == worker:
            events(0)
            os._exit(status_of(status, kills))
        if asked in ready:
            watch.unregister(asked)
            way = Passing(watch, wire.reading, passing)
        elif way:
            way.move(ready)


def status_of(status, kills):
    """PID 1's own status for its worker's: what says more, or only the host's end gives, is never the worker's own."""
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if kills.are_hosts():
        return HOST_SHORT
    if kills.any():
        return MEMORY_KILLED if killed else MEMORY_BESIDE
    if killed:
        return WORKER_KILLED
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    reserved = (HOST_GONE, WORKER_KILLED, MEMORY_KILLED, MEMORY_BESIDE, HOST_SHORT, 128 + signal.SIGKILL)
    return 1 if os.WEXITSTATUS(status) in reserved else os.WEXITSTATUS(status)


def work(wire, driver):
    """The worker: from the first `load` or `go` on it is the guest's, and nothing is ignored but what Python ignores.

    In a session of its own: the fence lets a guest set the priority of its own group, in which PID 1 must not be.
    """
    os.setsid()
    default_signals()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # it makes errors of them: a broken pipe, a file that is too large
        signal.signal(number, signal.SIG_IGN)
    driver.serve()
    os._exit(HOST_GONE)


def divide(wire):
    """Become two: PID 1, which watches, and the worker."""
    passed, passing = os.pipe()
    asked, asking = os.pipe()
    worker = os.fork()
    if worker:
        os.close(passed)
        os.close(asking)
        supervise(wire, worker, asked, passing)
    os.close(asked)
    os.close(passing)
    work(wire, Driver(wire, passed, asking))


def main():
    wire = take_over()
    wire.write(HELLO, 0, {"seen": first_look()})
    divide(wire)
