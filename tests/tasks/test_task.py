"""A broken task folder is an error that names the file, the key and the nearest right one."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.faults import TaskFault
from runner.settings import data_folder
from runner.tasks.problem import generate, load_problem
from runner.tasks.schema import TaskFile
from runner.tasks.task import Array, faults_of_folder, find_task, imported_modules, read_task

TASKS = data_folder("problem_data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TASKS / "slow_nbody", tmp_path / "task"))


def edit(folder: Path, old: str, new: str, name: str = "task.toml") -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.parent.name for path in TASKS.glob("*/task.toml")))
def test_every_shipped_task_is_whole_at_every_scale(name: str) -> None:
    task = find_task(name, TASKS)
    problem = load_problem(task)
    for scale in task.file.scales:
        case = generate(problem, task, scale, 1)
        assert case.inputs and case.hidden
        assert task.kind != "python" or set(case.inputs) == set(task.file.inputs)
        bar = task.target(scale) or task.file.quality.minimum
        assert bar and str(bar) in task.instruction(scale)
        assert all(f"`{module}`" in task.instruction(scale) for module in task.file.imports.modules)


@pytest.mark.parametrize(
    ("old", "new", "cause", "hint"),
    [
        ('dtype = "float64"', 'dtype = "float46"', "inputs.positions.dtype = 'float46'", "fix the value"),
        ("confidence = 0.95", "confidence = 1.5", "target.confidence = 1.5", "fix the value"),
        ('memory = "512MiB"', 'memory = "lots"', "limits.memory = 'lots'", "fix the value"),
        ('memory = "512MiB"', 'memory = "100MiB"', "more than half of limits.memory", "raise limits.memory"),
        ("confidence =", "confidance =", "unknown key target.confidance", "did you mean 'confidence'?"),
        ("[imports]", "[import]", "unknown key import", "did you mean 'imports'?"),
        ("[limits]", "[limits]\nmemroy = 3", "unknown key limits.memroy", "did you mean 'memory'?"),
        ('entry = "simulate"\n', "", "call.entry is missing", "add it"),
        ('["bodies", 3]', '["planets", 3]', "scales.full.sizes lacks planets", "add the size"),
        ('scale = "small"', 'scale = "tiny"', "workspace.sample.scale = 'tiny' is not a scale", "full, small"),
        ("tolerance = 0.01", "tolerance = 0.01\nminimum = 1", "either tolerance", "fix the value"),
        ('file = "optimized_nbody.py"', 'file = "../x.py"', "submission.file = '../x.py'", "fix the value"),
        ("[task]", "[task", "is not valid TOML", "fix the line"),
        ("[limits]", "[limits]\ngpus = 1", "there are no GPUs in a sandbox", "fix the value"),
        ("[limits]", "[limits]\ngpu = 1", "unknown key limits.gpu", "did you mean 'gpus'?"),
        ('folder = "workspace"', 'folder = "."', "workspace.folder = '.'", "name one such as workspace"),
        ('folder = "workspace"', 'folder = ""', "workspace.folder = ''", "name one such as workspace"),
        ('folder = "workspace"', 'folder = "/"', "workspace.folder = '/'", "name one such as workspace"),
        ('folder = "workspace"', 'folder = "../.."', "workspace.folder = '../..'", "name one such as workspace"),
        ('folder = "workspace"', 'folder = "solution"', "workspace.folder = 'solution'", "name one such as workspace"),
        ("tolerance = 0.01", "minimum = nan", "quality.minimum = nan", "fix the value"),
        ("sample_wall_s = ", "sample_wall_s = inf #", "limits.sample_wall_s = inf", "fix the value"),
        ("sample_wall_s = ", "sample_wall_s = 1e30 #", "limits.sample_wall_s = 1e+30", "fix the value"),
        ("sample_wall_s = ", "sample_wall_s = true #", "limits.sample_wall_s = True", "fix the value"),
        ("sample_wall_s = ", 'sample_wall_s = "9" #', "limits.sample_wall_s = '9'", "fix the value"),
        ('entry = "simulate"', 'entry = ""', "call.entry is empty", "add it"),
    ],
)
def test_a_broken_task_toml_is_explained(folder: Path, old: str, new: str, cause: str, hint: str) -> None:
    edit(folder, old, new)
    with pytest.raises(TaskFault) as caught:
        read_task(folder)
    assert cause in caught.value.cause and "task.toml" in caught.value.cause
    assert "Value error" not in caught.value.cause
    assert hint in caught.value.hint


def test_a_range_in_which_no_value_lies_is_explained(folder: Path) -> None:
    path = folder / "task.toml"
    edit(folder, "[answer.", '[answer.nothing]\ndtype = "int64"\nshape = []\nlow = 2\nhigh = 1\n\n[answer.')
    with pytest.raises(TaskFault, match=r"answer\.nothing = .*no value of int64 lies between low = 2 and high = 1"):
        read_task(folder)
    path.write_text(path.read_text().replace("high = 1\n", "high = 2\n"))
    assert read_task(folder).file.answer["nothing"].high == 2


@pytest.mark.parametrize(
    ("dtype", "kept", "ranges"),
    [
        ("uint8", "low = 200\nhigh = 300", ["low = 256", "high = -1", "low = 0.2\nhigh = 0.8"]),
        ("int32", "low = -3e9", ["low = 3e9", "low = 1.5\nhigh = 1.75"]),
        ("int64", "low = 0.5\nhigh = 1", ["high = -1e19", "low = 0.5\nhigh = 0.9"]),
        ("float32", "low = 0.2\nhigh = 0.8", ["low = 1e39"]),
        ("bool", "", ["low = 0\nhigh = 1", "low = 0.2\nhigh = 0.8"]),
    ],
)
def test_a_range_in_which_no_value_of_its_type_lies_is_explained(
    folder: Path, dtype: str, kept: str, ranges: list[str]
) -> None:
    """No file could answer it, however right it is."""
    text = (folder / "task.toml").read_text()
    section = f'[answer.nothing]\ndtype = "{dtype}"\nshape = []\n'
    (folder / "task.toml").write_text(f"{text}\n{section}{kept}\n")
    assert "nothing" in read_task(folder).file.answer
    for wrong in ranges:
        (folder / "task.toml").write_text(f"{text}\n{section}{wrong}\n")
        with pytest.raises(TaskFault, match=rf"answer\.nothing = .*(no value of {dtype} lies|a bool has no range)"):
            read_task(folder)


FEATURES = 'init = ["features", 256, 10]'
FLAGSHIP = "slow_ml_training_complex"


@pytest.mark.parametrize(
    ("task", "old", "new", "cause", "hint"),
    [
        (FLAGSHIP, FEATURES, 'init = ["featuers", 256]', "scales.full.sizes lacks featuers", "an argument"),
        (FLAGSHIP, "earlier =", 'init = ["no"]\nearlier =', "scales.full.sizes lacks no", "an argument"),
        (FLAGSHIP, 'method = "forward"', 'method = "forwad"', "components.ComplexNN calls forwad", "'forward'?"),
        (FLAGSHIP, "outputs = [{ shape = [12", "outputs = [] #", "probes.2.outputs = []", "fix the value"),
        (FLAGSHIP, "preload =", 'forbidden = ["torch.nn"]\npreload =', "forbidden torch.nn", "out of one of them"),
        (FLAGSHIP, "preload =", 'forbidden = ["sklearn"]\npreload =', "lists sklearn.preprocessing", "out of one"),
        ("slow_nbody", "[inputs.steps]", "[inputs.steps]\nhigh = 9", "unknown key inputs.steps.high", "dtype, shape"),
        ("slow_nbody", "[limits]", "[grading]\nrepetitions = 2\n[limits]", "grading.repetitions means", "remove it"),
        ("slow_pairs", "[limits]", "[grading]\nrepetitions = 2\n[limits]", "grading.repetitions means", "remove it"),
        ("slow_pairs", "[call]", "[call]\ntolerance = 0.1", "call.tolerance means nothing", "numbers"),
        ("slow_pairs", "max_bytes", "max_files = 3\nmax_bytes", "submission.max_files means nothing", "folder"),
        ("slow_pairs", "data_sets", "tolerance = 0.1\ndata_sets", "scales.small.tolerance means", "quality.tolerance"),
        ("held_out_labels", "[quality]", "target = 2.0\n[quality]", "scales.full.target means nothing", "remove it"),
    ],
)
def test_keys_that_contradict_each_other_are_an_error_before_anything_is_played(
    tmp_path: Path, task: str, old: str, new: str, cause: str, hint: str
) -> None:
    folder = Path(shutil.copytree(TASKS / task, tmp_path / "task"))
    edit(folder, old, new)
    if "forbidden" in new:
        edit(folder, "{modules}", "{modules}, not {forbidden}", "instruction.md")
    (fault,) = faults_of_folder(folder)
    assert cause in fault.cause and "task.toml" in fault.cause
    assert hint in fault.hint


@pytest.mark.parametrize(
    ("task", "old", "new"),
    [
        (FLAGSHIP, "preload =", 'forbidden = ["torch.jit", "numpyx"]\npreload ='),  # a part of what is allowed
        (FLAGSHIP, 'methods = ["custom_activation", "forward"]', 'methods = ["custom_activation", "forward", "fit"]'),
        ("slow_pairs", 'compare = "exact"', 'compare = "numbers"\ntolerance = 0.1'),
        ("slow_pairs", "speedup = 15.0\n", "[grading]\nrepetitions = 2\n"),  # the one scale has no target then
    ],
)
def test_keys_that_only_look_so_are_none(tmp_path: Path, task: str, old: str, new: str) -> None:
    folder = Path(shutil.copytree(TASKS / task, tmp_path / "task"))
    edit(folder, old, new)
    if "forbidden" in new:
        edit(folder, "{modules}", "{modules}, not {forbidden}", "instruction.md")
    assert faults_of_folder(folder) == []


def test_a_workspace_that_is_a_link_out_of_the_folder_is_explained(folder: Path, tmp_path: Path) -> None:
    (folder / "workspace").rename(tmp_path / "elsewhere")
    (folder / "workspace").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TaskFault, match=r"workspace\.folder"):
        read_task(folder)


@pytest.mark.parametrize("name", ["problem.py", "baseline.py", "instruction.md"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_in_the_place_of_one_is_called_that(
    folder: Path, name: str, make: Callable[[Path], None]
) -> None:
    (folder / name).unlink()
    with pytest.raises(TaskFault, match=rf"{name} is missing"):
        read_task(folder)
    make(folder / name)
    with pytest.raises(TaskFault, match=rf"{name} is not a file"):
        read_task(folder)


@pytest.mark.parametrize("target", ["../problem.py", "../solution", "/etc/passwd", "."])
def test_a_link_out_of_the_workspace_is_named(folder: Path, target: str) -> None:
    (folder / "workspace" / "deep").mkdir()
    (folder / "workspace" / "deep" / "inside").symlink_to("../check.py")
    assert read_task(folder).name == "slow_nbody"
    (folder / "workspace" / "link").symlink_to(target)
    with pytest.raises(TaskFault, match="is a link out of what the agent finds"):
        read_task(folder)


def test_a_workspace_that_is_a_link_to_itself_is_none(folder: Path) -> None:
    edit(folder, 'folder = "workspace"\n', "")
    shutil.rmtree(folder / "workspace")
    (folder / "workspace").symlink_to("workspace")
    assert read_task(folder).name == "slow_nbody"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_task_toml_that_is_no_file_is_named_and_not_waited_for(folder: Path, make: Callable[[Path], None]) -> None:
    (folder / "task.toml").unlink()
    make(folder / "task.toml")
    assert [fault.cause for fault in faults_of_folder(folder)] == [f"{folder / 'task.toml'} is not a file"]


def test_an_instruction_that_is_not_text_is_named(folder: Path) -> None:
    (folder / "instruction.md").write_bytes(b"\xff\xfe")
    with pytest.raises(TaskFault, match=r"instruction\.md is not UTF-8: byte 0 is wrong"):
        read_task(folder)


def test_what_a_task_forbids_stands_in_its_instruction(folder: Path) -> None:
    edit(folder, 'modules = ["math", "numpy"]', 'modules = ["math", "numpy"]\nforbidden = ["ctypes", "os.system"]')
    with pytest.raises(TaskFault, match=r"does not say what imports\.forbidden lists: ctypes, os\.system"):
        read_task(folder)
    edit(folder, "{modules}", "{modules}; not allowed: {forbidden}", "instruction.md")
    assert "`math`, `numpy`; not allowed: `ctypes`, `os.system`" in read_task(folder).instruction("small")


@pytest.mark.parametrize("name", ["problem.py", "instruction.md", "baseline.py"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(TaskFault, match=name):
        read_task(folder)


def test_an_unknown_task_names_the_nearest_known_one() -> None:
    with pytest.raises(TaskFault, match="did you mean slow_nbody"):
        find_task("slow_nbodi", TASKS)


def test_a_folder_without_task_toml_is_said(tmp_path: Path) -> None:
    with pytest.raises(TaskFault, match=r"holds no task\.toml"):
        find_task(str(tmp_path), TASKS)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """What root may read is no test of what may not be read."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_folder_that_may_not_be_looked_into_is_said(folder: Path, unprivileged: None) -> None:
    within = folder / "closed" / "task"
    uid = os.geteuid()
    os.seteuid(os.getuid())  # whoever made the folder closes it
    within.mkdir(parents=True)
    folder.joinpath("closed").chmod(0)
    os.seteuid(uid)
    with pytest.raises(TaskFault, match=r"cannot be looked at: Permission denied"):
        find_task(str(within), TASKS)
    os.seteuid(os.getuid())
    folder.joinpath("closed").chmod(0o700)


def test_a_name_that_is_too_long_for_a_path_is_no_task() -> None:
    with pytest.raises(TaskFault, match="is too long for a path"):
        find_task("a" * 5000, TASKS)


@pytest.mark.parametrize("name", ["task.toml", "instruction.md"])
def test_a_mark_that_editors_write_in_front_of_a_text_is_no_part_of_it(folder: Path, name: str) -> None:
    plain = read_task(folder)
    path = folder / name
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    task = read_task(folder)
    assert (task.file, task.instruction("small")) == (plain.file, plain.instruction("small"))


NUMBERS = (
    *("limits.memory", "limits.cpus", "limits.pids", "limits.sample_wall_s", "target.speedup", "target.confidence"),
    *("quality.tolerance", "grading.rounds", "grading.seconds", "grading.data_sets", "episode.turns", "episode.tokens"),
    *("episode.dollars", "episode.wall_s", "submission.max_bytes", "answer.positions.high"),
)


@pytest.mark.slow
@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", ["9" * 400, "-" + "9" * 400, '"' + "9" * 400 + '"', '"' + "9" * 305 + 'GiB"'])
def test_a_number_that_nothing_can_hold_is_named_with_its_line(folder: Path, key: str, value: str) -> None:
    table, _, name = key.rpartition(".")
    lines = (folder / "task.toml").read_text().splitlines()
    start = lines.index(f"[{table}]") if f"[{table}]" in lines else len(lines)
    if start == len(lines):
        lines.append(f"[{table}]")
    end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("[")), len(lines))
    kept = [line for line in lines[start + 1 : end] if not line.startswith(f"{name} =")]
    (folder / "task.toml").write_text("\n".join([*lines[: start + 1], f"{name} = {value}", *kept, *lines[end:]]))
    (fault,) = faults_of_folder(folder)
    assert f"line {start + 2}: {key} = " in fault.cause


@pytest.mark.parametrize("key", ["memory", "cpus", "pids"])
def test_a_number_that_not_even_a_message_could_show_is_named(folder: Path, key: str) -> None:
    text = (folder / "task.toml").read_text()
    lines = [f"{key} = 0x{'f' * 5000}" if line.startswith(f"{key} =") else line for line in text.splitlines()]
    assert lines != text.splitlines()
    (folder / "task.toml").write_text("\n".join(lines))
    (fault,) = faults_of_folder(folder)
    assert f"limits.{key} is a number of 20000 bits" in fault.cause


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ('[image]\nname = "base"', '[image]\nname = ""', "image.name = ''"),
        ('[image]\nname = "base"', '[image]\nname = "two words"', "image.name = 'two words'"),
        ("[image]", '[image]\npython = "a\\u0000b"', "image.python = 'a\\x00b'"),
        ("[image]", '[image]\nenv = { "A=B" = "c" }', "image.env.A=B = 'A=B'"),
        ("[image]", '[image]\nenv = { A = "b\\u0000" }', "image.env.A = 'b\\x00'"),
        ("[call]", '[call]\nrun = ["", "x"]', "call.run = ['', 'x']: the first word is the program's name"),
        ("[call]", '[call]\nbuild = ["cc", "a\\u0000"]', "call.build.1 = 'a\\x00'"),
        ("[workspace]", '[workspace]\nstart = "here"', "workspace.start = 'here'"),
        ('["bodies", 3]', '["bodies", -3]', "inputs.positions.shape.1 = -3"),
        ('["bodies", 3]', '["two words", 3]', "inputs.positions.shape.0 = 'two words'"),
    ],
)
def test_what_no_program_can_be_started_with_is_named_once_by_its_key(
    folder: Path, old: str, new: str, cause: str
) -> None:
    edit(folder, old, new)
    (fault,) = faults_of_folder(folder)
    assert f": {cause}" in fault.cause and ", line " in fault.cause


def test_a_size_that_no_memory_holds_is_counted_right() -> None:
    assert Array("a", "float64", (2**52, 2**52)).nbytes == 2**107


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("def make(", "def meke(", "did you mean .make.|defines .meke."),
        ("import numpy as np", "import nunpy as np", "cannot be run"),
        ('"masses": masses, ', "", "problem.py of slow_nbody makes"),
        ('"positions": positions, "vel', '"positions": positions[1:], "vel', "positions as float64"),
        ("def _simulate", "def _simulat", "make of problem.py of slow_nbody failed"),
    ],
)
def test_a_broken_problem_is_explained(folder: Path, old: str, new: str, words: str) -> None:
    edit(folder, old, new, "problem.py")
    with pytest.raises(TaskFault, match=words):
        task = read_task(folder)
        generate(load_problem(task), task, "small", 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("None", "a NoneType where a Case is asked for"),
        ("({}, {})", "a tuple where a Case is asked for"),
        ("Case(None, {})", "inputs as a NoneType"),
        ("Case({}, [1])", "hidden as a list"),
        ("Case({'masses': [1.0]}, {})", "inputs['masses'] as a list"),
        ("Case({}, {3: np.zeros(2)})", "hidden with the key 3"),
        ("Case({}, {'energy': np.array([object()])})", "hidden['energy'] as an array of Python objects"),
        ("sys.exit(0)", "failed: SystemExit(0)"),
    ],
)
def test_what_make_gives_in_place_of_a_case_is_named(folder: Path, given: str, words: str) -> None:
    path = folder / "problem.py"
    path.write_text(path.read_text() + f"\n\nimport sys\n\n\ndef make(seed, sizes):\n    return {given}\n")
    task = read_task(folder)
    with pytest.raises(TaskFault) as caught:
        generate(load_problem(task), task, "small", 1)
    assert words in caught.value.cause and "make of problem.py" in caught.value.cause


def test_a_problem_that_ends_the_program_does_not_choose_its_exit_status(folder: Path) -> None:
    edit(folder, "import numpy as np", "import sys\n\nsys.exit(0)", "problem.py")
    with pytest.raises(TaskFault, match="cannot be run: SystemExit"):
        load_problem(read_task(folder))


def test_a_make_that_changes_its_sizes_changes_nobody_elses(folder: Path) -> None:
    path = folder / "problem.py"
    path.write_text(path.read_text() + "\n\n_made = make\n\n\ndef make(seed, sizes):\n"
                    "    case = _made(seed, sizes)\n    sizes.clear()\n    return case\n")  # fmt: skip
    task = read_task(folder)
    problem = load_problem(task)
    assert generate(problem, task, "small", 1).inputs and generate(problem, task, "small", 2).inputs


def test_a_seed_makes_the_same_data_again_and_another_seed_other_data() -> None:
    for name in ("slow_nbody", "slow_ml_training_complex"):
        task = find_task(name, TASKS)
        problem = load_problem(task)
        once, again, other = (generate(problem, task, "small", seed) for seed in (2**127, 2**127, 2**127 + 1))
        large = [key for key, array in once.inputs.items() if array.size > 1]
        assert all((once.inputs[key] == again.inputs[key]).all() for key in once.inputs)
        assert all((once.inputs[key] != other.inputs[key]).any() for key in large)


def test_nothing_trusted_lies_in_what_the_agent_finds() -> None:
    for path in TASKS.glob("*/task.toml"):
        task = read_task(path.parent)
        names = {file.name for file in (task.folder / task.file.workspace.folder).rglob("*")}
        assert not names & {"problem.py", "solution", task.file.submission.file, "strategies.toml", "episodes"}


def test_every_key_of_task_toml_is_described() -> None:
    definitions = TaskFile.model_json_schema()["$defs"]
    assert len(definitions) > 15
    for name, definition in definitions.items():
        assert definition["description"], name
        for key, schema in definition.get("properties", {}).items():
            assert schema["description"], f"{name}.{key}"


@pytest.mark.parametrize(
    ("text", "size"), [('"512MiB"', 2**29), ('"2GiB"', 2**31), ('"1.5 GB"', 1_500_000_000), ("536870912", 2**29)]
)
def test_a_size_is_written_with_a_unit_or_in_bytes(folder: Path, text: str, size: int) -> None:
    edit(folder, 'memory = "512MiB"', f"memory = {text}")
    assert read_task(folder).file.limits.memory == size


@pytest.mark.parametrize("text", ['"3Mbit"', '"512 MiB x"', '"1e9"', '"-1"', "0", "1.5"])
def test_anything_else_is_not_a_size(folder: Path, text: str) -> None:
    edit(folder, 'memory = "512MiB"', f"memory = {text}")
    with pytest.raises(TaskFault, match=r"limits\.memory"):
        read_task(folder)


def test_what_a_file_and_the_baseline_may_import_is_loaded_beforehand() -> None:
    flagship = find_task("slow_ml_training_complex", TASKS)
    everything, least = flagship.preloads(None), flagship.preloads([])
    assert everything == (*flagship.file.imports.modules, *flagship.file.imports.preload)
    assert set(everything) - set(least) == {"sklearn.preprocessing"}
    assert set(flagship.preloads(["sklearn"])) == set(everything)
    assert flagship.preloads(["numpy", "sys", ".sklearn"]) == least


def test_the_imports_of_a_text_are_found_wherever_they_stand() -> None:
    text = b"import a.b, c\ndef f():\n    from d.e import g\n    from . import h\n"
    assert imported_modules(text) == ("a.b", "c", "d.e", "")
    with pytest.raises(TaskFault, match="is not Python"):
        imported_modules(b"import a b")


def test_a_workspace_may_be_missing_where_it_is_not_named(project: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(project / "problem_data" / "slow_nbody", tmp_path / "task")
    shutil.rmtree(folder / "workspace")
    with pytest.raises(TaskFault, match="workspace is missing"):
        read_task(folder)
    text = (folder / "task.toml").read_text()
    (folder / "task.toml").write_text(text.replace('folder = "workspace"\n', ""))
    assert read_task(folder).file.workspace.folder == "workspace"
