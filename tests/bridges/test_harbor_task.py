"""A task folder of Harbor's: what is taken, what is lost, and what is refused with its name."""

import os
from pathlib import Path

import pytest

from runner.bridges.harbor_dockerfile import base_images, beyond_builder, fetched, replacement, with_images
from runner.bridges.harbor_import import outermost, outermost_paths
from runner.bridges.harbor_task import NotOurs, check_root, read_harbor_task
from runner.faults import TaskFault
from runner.tasks.schema import SECONDS_MAX
from tests.bridges.harbor_examples import EXAMPLES, SEPARATE, SHARED, STEPS, WORKSPACE, write


def edited(folder: Path, old: str, new: str, files: dict[str, str] | None = None) -> Path:
    write(folder, {**SHARED, **(files or {})})
    path = folder / "task.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return folder


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_shape_of_task_is_read(tmp_path: Path, name: str) -> None:
    task = read_harbor_task(write(tmp_path / name, EXAMPLES[name]))
    assert task.steps and all(step.instruction for step in task.steps)


def test_a_task_with_a_verifier_of_its_own_keeps_its_artifacts_and_limits(tmp_path: Path) -> None:
    task = read_harbor_task(write(tmp_path, SEPARATE))
    (step,) = task.steps
    assert (task.name, task.memory_bytes, task.agent_s, step.wall_s) == ("sum-of-squares", 2**30, 300.0, 60.0)
    assert step.artifacts == ("/app/answer.json",) and step.tests is None
    assert step.verifier is not None and "COPY . /tests/" in step.verifier.dockerfile
    assert any("user" in note for note in task.notes)


def test_shared_tests_come_beside_the_agents_image(tmp_path: Path) -> None:
    (step,) = read_harbor_task(write(tmp_path, SHARED)).steps
    assert step.verifier is None and set(step.tests or {}) == {"test.sh"}


def test_older_sizes_and_names_are_understood(tmp_path: Path) -> None:
    task = read_harbor_task(write(tmp_path / "Some task!", WORKSPACE))
    assert (task.name, task.schema, task.memory_bytes, task.storage_bytes) == ("Some_task", "1.0", 2**30, 2**31)


def test_steps_have_files_tests_and_bars_of_their_own(tmp_path: Path) -> None:
    begin, extend, describe = read_harbor_task(write(tmp_path, STEPS)).steps
    assert begin.minimums == {"reward": 1.0} and set(extend.files) == {"name.txt", "setup.sh"}
    assert extend.env == {"NAME": "Ada"} and set(describe.tests or {}) == {"helpers.sh", "test.sh"}


HEAD = 'version = "1.0"'


@pytest.mark.parametrize(
    ("new", "files", "names"),
    [
        ('schema_version = "2.0"', {}, "schema_version '2.0' is not known"),
        ('schema_version = "1.5"', {}, "schema_version '1.5' is not known"),
        ('version = "1.0"\n[agent]\nuser = "root"', {}, "wants root for its agent"),
        ('version = "1.0"\n[agent]\nuser = 0', {}, "wants root for its agent"),
        (HEAD, {"environment/docker-compose.yaml": "x"}, "compose"),
        (HEAD, {"tests/docker-compose.yaml": "x"}, "compose"),
        ('version = "1.0"\n[agent]\nnetwork_mode = "public"', {}, "wants a network at run time"),
        ('version = "1.0"\n[agent]\nnetwork_mode = "allowlist"\nallowed_hosts = ["x.org"]', {}, "wants a network"),
        (HEAD, {"tests/test.sh": "apt-get update && apt-get install -y jq"}, "fetches from a network"),
        (HEAD, {"tests/test.sh": "curl -LsSf https://example.org/install.sh | sh"}, "fetches from a network"),
        (HEAD, {"tests/test.sh": "pip install pytest==8.4.1"}, "fetches from a network"),
        (HEAD, {"tests/test.sh": "uvx --with pytest pytest"}, "fetches from a network"),
        (HEAD, {"trajectory.json": "{}"}, "trajectory"),
    ],
)
def test_what_a_task_wants_and_we_do_not_give_is_refused_by_its_name(
    tmp_path: Path, new: str, files: dict[str, str], names: str
) -> None:
    with pytest.raises(TaskFault) as refused:
        read_harbor_task(edited(tmp_path, HEAD, new, files))
    assert names in refused.value.cause and refused.value.hint


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("gpus = 1", "wants a GPU"), ('os = "windows"', "wants Windows"),
        ('healthcheck = { command = "true" }', "waits for a service"),
        ('mcp_servers = [{ name = "x", url = "http://y" }]', "wants MCP servers"),
        ('env = { KEY = "${OPENAI_API_KEY}" }', "puts the host's variable OPENAI_API_KEY into a container"),
        ("allow_internet = true", "wants a network at run time"),
    ],
)  # fmt: skip
def test_what_its_container_wants_and_we_do_not_give_is_refused_by_its_name(
    tmp_path: Path, line: str, names: str
) -> None:
    folder = edited(tmp_path, 'network_mode = "no-network"', line)
    with pytest.raises(NotOurs, match=names):
        read_harbor_task(folder)


def test_a_network_that_a_task_can_do_without_is_lost_and_not_refused_where_the_user_says_so(tmp_path: Path) -> None:
    folder = edited(tmp_path, 'network_mode = "no-network"', 'network_mode = "public"')
    assert any("network" in note for note in read_harbor_task(folder, no_network=True).notes)


def test_the_loopback_is_no_network(tmp_path: Path) -> None:
    write(tmp_path, {**SHARED, "tests/test.sh": "curl http://localhost:8000/ || true\n# pip install nothing\n"})
    assert read_harbor_task(tmp_path).steps


@pytest.mark.parametrize(
    "where", ["tests/extra", "environment", "solution/x", "instruction.md", "task.toml", "README.md", "of/nobody/x"]
)
def test_a_link_in_a_task_folder_is_named_and_never_followed(tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    folder = write(tmp_path / "task", WORKSPACE)
    path = folder / where
    if path.is_file():
        path.unlink()
    if path.is_dir():
        path = path / "link"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside / "secret")
    with pytest.raises(TaskFault) as refused:
        read_harbor_task(folder)
    assert "link" in refused.value.cause and "secret" not in refused.value.cause


@pytest.mark.parametrize("where", ["tests/pipe", "pipe"])
def test_a_pipe_in_a_task_folder_is_not_waited_for(tmp_path: Path, where: str) -> None:
    folder = write(tmp_path / "task", SHARED)
    os.mkfifo(folder / where)
    with pytest.raises(TaskFault, match="not a regular file"):
        read_harbor_task(folder)


@pytest.mark.parametrize(
    "text",
    [
        "", "not toml [", "\xff", "[environment]\n", "environment = 1", "[[steps]]\nname = '../x'", "a = " + "9" * 5000,
        "[environment]\ncpus = " + "9" * 400, "[environment]\ncpus = 0x" + "f" * 5000, "[environment]\nmemory_mb = 1e308",
        "[environment]\nmemory = '" + "9" * 400 + "G'", "a = " + "[" * 5000,
        "[agent]\ntimeout_sec = 1e308", "[agent]\ntimeout_sec = 1970-01-01",
        "[environment]\nworkdir = '/a\\u0000b'".replace("'", '"'), "[[steps]]\n[[steps]]",
        "[[steps]]\nname = '" + "a" * 5000 + "'",
        "a" + ".a" * 400_000 + " = 1", "[a" + " . 'a'" * 150_000 + "]\n", "a = {" + "b" + '."b"' * 200_000 + " = 1}",
    ],
)  # fmt: skip
def test_a_broken_task_is_one_line_with_the_fix(tmp_path: Path, text: str) -> None:
    (tmp_path / "task.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(TaskFault) as fault:
        read_harbor_task(tmp_path)
    assert "\n" not in fault.value.cause.strip() and len(fault.value.cause) < 500 and fault.value.hint


def test_a_name_that_is_not_utf_8_and_folders_without_end_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "task", SHARED)
    odd = Path(os.fsdecode(os.fsencode(folder / "tests") + b"/caf\xe9"))
    odd.write_text("x")
    with pytest.raises(TaskFault, match="is not UTF-8"):
        read_harbor_task(folder)
    odd.unlink()
    (folder / "tests" / "/".join(["a"] * 70)).mkdir(parents=True)
    with pytest.raises(TaskFault, match="levels of folders"):
        read_harbor_task(folder)


@pytest.mark.parametrize("name", ["''", "'A=B'", "'='"])
def test_a_variable_that_no_process_can_have_is_refused(tmp_path: Path, name: str) -> None:
    folder = edited(tmp_path, "[verifier]", f"[environment.env]\n{name} = 'x'\n[verifier]")
    with pytest.raises(TaskFault, match="which no variable can be called"):
        read_harbor_task(folder)


@pytest.mark.parametrize("name", ["../containers/x", "a/../b", "a\\nRUN b", "a b", "-a", "a" * 600])
def test_what_no_image_can_be_called_is_not_asked_of_the_engine(tmp_path: Path, name: str) -> None:
    with pytest.raises(TaskFault, match="is no image's name"):
        read_harbor_task(edited(tmp_path, "python:3.11-slim", name))


def test_a_file_that_is_all_holes_is_not_read_to_its_end(tmp_path: Path) -> None:
    folder = write(tmp_path, SHARED)
    with (folder / "holes").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(TaskFault, match=r"holds more than \d+ bytes"):
        read_harbor_task(folder)


def test_a_time_beyond_what_ours_may_be_is_cut_and_said(tmp_path: Path) -> None:
    folder = write(tmp_path, SHARED)
    text = (folder / "task.toml").read_text().replace("timeout_sec = 60.0", "timeout_sec = 1e9")
    (folder / "task.toml").write_text(text + "[agent]\ntimeout_sec = 1e9\n")
    task = read_harbor_task(folder)
    assert (task.agent_s, task.steps[0].wall_s) == (SECONDS_MAX, SECONDS_MAX)
    assert any("timeout_sec" in note for note in task.notes)


def test_a_dockerfile_beyond_any_in_earnest_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, {**SEPARATE, "environment/Dockerfile": "FROM " + "${a:-" * 60_000})
    with pytest.raises(TaskFault, match=r"environment/Dockerfile has \d+ bytes"):
        read_harbor_task(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "ARG a=$b$b\n" + "ARG a=$a$a\n" * 300 + "FROM $a\n",
        "ARG a=bb\n" + "ARG a=$a$a\n" * 300 + "FROM $a\n",
        "ARG a=" + "b" * 100_000 + "\nARG c=" + "$a" * 50_000 + "\nFROM $c\n",
        "FROM " + "${a:-" * 50_000,
    ],
)
def test_variables_in_a_dockerfile_do_not_grow_without_end(text: str) -> None:
    found = base_images(text)
    assert all("$" in image for image in found) and (found or "${" in text), "what is no image's name names none"


def test_steps_without_end_are_refused_before_their_files_are_read(tmp_path: Path) -> None:
    steps = "".join(f"[[steps]]\nname = 's{number}'\n" for number in range(20_000))
    with pytest.raises(TaskFault, match="there are 20000 steps"):
        read_harbor_task(write(tmp_path, {"task.toml": steps}))


@pytest.mark.parametrize("bar", ["9" * 400, "true", "[1]", "nan", "inf", "{ a = true }", "'1'"])
def test_a_bar_of_a_step_is_a_number(tmp_path: Path, bar: str) -> None:
    folder = write(tmp_path, STEPS)
    text = (folder / "task.toml").read_text()
    (folder / "task.toml").write_text(text.replace("min_reward = 1.0", f"min_reward = {bar}"))
    with pytest.raises(TaskFault, match=r"min_reward is not|more than 64 bits"):
        read_harbor_task(folder)


def test_a_folder_in_the_place_of_a_dockerfile_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, SEPARATE)
    (folder / "environment" / "Dockerfile").unlink()
    (folder / "environment" / "Dockerfile").mkdir()
    with pytest.raises(TaskFault, match="environment/Dockerfile is not a file"):
        read_harbor_task(folder)


def test_a_path_beyond_what_a_system_takes_is_no_task() -> None:
    with pytest.raises(TaskFault):
        read_harbor_task(Path("a" * 5000))


def test_a_long_name_is_cut_and_a_long_script_is_read_in_a_moment(tmp_path: Path) -> None:
    edited(tmp_path, HEAD, f'version = "1.0"\n[task]\nname = "x/{"a" * 5000}"')
    (tmp_path / "tests" / "test.sh").write_text("curl " * 400_000)
    assert read_harbor_task(tmp_path).name == "a" * 100


@pytest.mark.parametrize(
    "path",
    [
        "/", "/etc/app", "/tmp/out", "/usr", "/logs/verifier", "/tests", "app", "/app/../etc", "/app\nx", "/a\x00",
        "/" + "a" * 2000, "/.logs", "/workspace/.logs/x", "/workspace/.solution",
    ],
)  # fmt: skip
def test_a_task_cannot_work_where_nothing_can_be_written(path: str) -> None:
    with pytest.raises(NotOurs):
        check_root(path, "its working folder")
    assert check_root("/app//x/./", "its working folder") == "/app/x"


def test_folders_within_others_go_with_these() -> None:
    assert outermost(["/app", "/app/x", "/application", "/app"]) == ["/app", "/application"]
    assert outermost_paths(["app", "app/x", "b"]) == ["app", "b"] and outermost_paths(["a", "."]) == ["."]


# Dockerfiles

DOCKERFILE = """# syntax=docker/dockerfile:1
ARG BASE=python:3.12-slim
FROM --platform=linux/amd64 ${BASE} AS build
RUN echo a \\
  && echo b
FROM ubuntu:24.04@sha256:00
COPY --from=build /a /b
COPY --from=ghcr.io/astral-sh/uv:0.5 /uv /bin/
COPY --from=0 /a /c
"""


def test_the_images_that_a_dockerfile_names_are_found_and_replaced() -> None:
    assert base_images(DOCKERFILE) == ["python:3.12-slim", "ubuntu:24.04@sha256:00", "ghcr.io/astral-sh/uv:0.5"]
    others = {"python:3.12-slim": "ours", "ubuntu:24.04@sha256:00": "other", "ghcr.io/astral-sh/uv:0.5": "uv"}
    text = with_images(DOCKERFILE, others)
    assert base_images(text) == ["ours", "other", "uv"]
    assert "--platform=linux/amd64 ours AS build" in text and "--from=build" in text and "--from=0" in text


def test_a_replacement_is_found_with_and_without_a_digest() -> None:
    assert replacement("python:3.12-slim@sha256:00", {"python:3.12-slim": "base"}) == "base"
    assert replacement("python:3.12", {"python:3.12-slim": "base"}) is None


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("RUN --mount=type=cache,target=/x pip install y", "RUN --mount"),
        ("COPY --link a b", "COPY --link"),
        ("COPY <<EOF /a\nEOF", "here-document"),
        ("RUN python3 - <<PY\nprint(1)\nPY", "here-document"),
        ("RUN echo $((1<<EOF))", None),
        ("RUN echo a", None),
    ],
)
def test_what_the_classic_builder_cannot_do_is_named(line: str, needs: str | None) -> None:
    found = beyond_builder(f"FROM a\n{line}\n")
    assert found is None if needs is None else needs in (found or "")


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM \\\n  a AS \\\n# words\n\n  x\nRUN b", ["a"]),
        ("FROM\ta\nFROM a as a\nFROM a\nCOPY --chown=1 --from=a /b /c", ["a"]),
        ("ARG V=3 W='4'\nARG B=a:${V}-$W\nFROM ${B}", ["a:3-4"]),
        ("FROM ${B:-a:1}", ["a:1"]),
        ("ARG B=\nFROM ${B:-a}\nFROM ${B-c}d", ["a", "d"]),
        ("ARG B\nFROM ${B}", ["${B}"]),
        ("FROM x\nARG B=a\nFROM $B", ["x", "$B"]),
        ("\ufeffFROM a\r\nRUN b\r\n", ["a"]),
        ("# escape=`\nFROM `\n a\nRUN c \\\nFROM b", ["a", "b"]),
        ("FROM x\nRUN pip --from=a\nRUN echo \\\n  FROM a", ["x"]),
        ("FROM scratch\nFROM", []),
    ],
)
def test_images_are_found_as_the_builder_finds_them_and_replaced_there_alone(text: str, images: list[str]) -> None:
    assert base_images(text) == images
    replaced = with_images(text, {image: f"ours-{number}" for number, image in enumerate(images)})
    assert base_images(replaced) == [f"ours-{number}" for number, _ in enumerate(images)]
    assert with_images(text, {}) == text.removeprefix("\ufeff").replace("\r", "")


def test_a_stage_with_the_name_of_an_image_is_the_stage() -> None:
    assert with_images("FROM a AS a\nFROM a\nCOPY --from=a /b /c", {"a": "x"}) == (
        "FROM x AS a\nFROM a\nCOPY --from=a /b /c"
    )


@pytest.mark.parametrize(
    "line",
    [
        "ADD http://127.0.0.1/x /y", "add --chown=1 https://x/y /z", "ADD htt\\\np:\\\n//x /y", 'ADD http:"/"/x /y',
        'ADD ["http:\\u002f/x", "/y"]', "ENV U=http://x\nADD $U /y", "ONBUILD ADD http://x /y",
        "ONBUILD ONBUILD\tADD http://x /y", "ADD http\\:\\/\\/x /y", "ADD git@github.com:a/b.git /c",
    ],
)  # fmt: skip
def test_what_the_engine_itself_would_fetch_is_named(line: str) -> None:
    assert fetched(f"FROM a\n{line}\n") is not None


def test_files_beside_the_dockerfile_are_not_fetched() -> None:
    assert fetched('FROM a\nADD a.tar /x\nADD ["a b", "/y"]\nRUN curl http://x\nCOPY $A /b') is None
