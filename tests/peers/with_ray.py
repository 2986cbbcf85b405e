"""A job on several hosts of a cluster of Ray's: two hosts are two engines on this machine, one is killed in the middle."""

# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["ray==2.60.0"]
# ///

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.faults import InfrastructureFault
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.image_store import load_images, save_images
from runner.settings import Settings, set_for_ray
from tests.conftest import containers_of, wait_until
from tests.environment import clean_environment
from tests.fakes.messages_server import MessagesServer, call, text

set_for_ray(loopback=True)
import ray  # noqa: E402 (told to keep to itself first)
from ray.cluster_utils import Cluster  # noqa: E402

STORE_BYTES = 80 * 1024**2  # chosen: about the least that Ray takes; ours are lines of some kilobytes
SMALL = ("--scale", "small", "--no-report")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def second_engine(engine: Engine, images: None) -> Iterator[str]:
    """Another engine on this machine, as another host has one, with the first one's images. (URL)"""
    folder = Path(tempfile.mkdtemp(prefix="runner-engine-"))
    url = f"unix://{folder}/docker.sock"
    places = ("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            # With no bridge it removes the first engine's as it starts: it starts where there is none.
            ["unshare", "--net", "dockerd", "-H", url, *places, "--bridge=none", "--iptables=false"],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until((folder / "docker.sock").exists, 60)
        time.sleep(1.0)  # the socket is there before it answers
        other = find_engine(Settings(docker_host=url))
        save_images(engine, ["base", "parse"], Settings(), folder / "images.tar", print)
        load_images(other, folder / "images.tar")
        yield url
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Hosts:
    """A cluster with hosts `a` and `b`.

    Attributes:
        run: the driver's command line, to its end.
    """

    address: str
    cluster: Any
    nodes: dict[str, Any]
    home: str
    project: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the driver, which has no engine and no key."""
        environment = clean_environment(self.home, DOCKER_HOST="unix:///nowhere/docker.sock")
        return subprocess.Popen(
            [sys.executable, "-m", "runner", *arguments, "--ray", self.address],
            cwd=self.project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=900)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def join(self, name: str, **environment: str) -> None:
        """One more host."""
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in clean_environment(self.home, PYTHONPATH=str(self.project), **environment).items():
                patch.setenv(variable, value)
            keys = {"runner_key_anthropic": 1} if "ANTHROPIC_API_KEY" in environment else {}
            self.nodes[name] = self.cluster.add_node(
                num_cpus=0, resources={"runner_host": 1, **keys}, labels={"runner.host": name},
                object_store_memory=STORE_BYTES,
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """A host goes without a word."""
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[MessagesServer]:
    with MessagesServer([[call("bash", command="sleep 8")], [text("done")]]) as server:
        yield server


@pytest.fixture(scope="module")
def hosts(engine: Engine, second_engine: str, home: str, project: Path, endpoint: MessagesServer) -> Iterator[Hosts]:
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    made = Hosts(cluster.address, cluster, {}, home, project)
    model = {"ANTHROPIC_API_KEY": "sk-ant-not-a-key", "ANTHROPIC_BASE_URL": endpoint.url}
    made.join("a", DOCKER_HOST=engine.url, **model)
    made.join("b", DOCKER_HOST=second_engine, **model)
    yield made
    cluster.shutdown()


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())  # type: ignore[no-any-return]


def outcomes(folder: Path) -> dict[int, str]:
    return {run["number"]: run["outcome"] for run in results(folder)["runs"]}


@pytest.fixture
def mixed_task(project: Path, tmp_path: Path) -> Path:
    """Ten scripted episodes: every other one submits a file that crashes, the rest nothing."""
    folder = tmp_path / "task"
    shutil.copytree(project / "problem_data" / "slow_nbody", folder)
    shutil.rmtree(folder / "episodes")
    (folder / "episodes").mkdir()
    write = '[[turns.calls]]\ntool = "bash"\ninput = { command = "sleep 1; echo x = 1 > optimized_nbody.py" }\n'
    submit = '[[turns.calls]]\ntool = "submit"\ninput = { path = "optimized_nbody.py" }\n'
    for number in range(1, 11):
        (folder / "episodes" / f"{number:02d}.toml").write_text("[[turns]]\n" + write + submit * (number % 2))
    return folder


def test_ten_runs_on_two_hosts_end_as_they_do_on_one(
    hosts: Hosts, engine: Engine, measuring_cpu: str, mixed_task: Path, tmp_path: Path
) -> None:
    flags = ("--runs", "10", "--task", str(mixed_task), *SMALL, "--agent", "scripted", "--output", str(tmp_path))
    done = hosts.run(*flags, "--name", "two", "--hosts", "2", "--share", "3")
    here = clean_environment(hosts.home, DOCKER_HOST=engine.url)
    alone = subprocess.run(
        [sys.executable, "-m", "runner", *flags, "--name", "one"],
        cwd=hosts.project, env=here, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == alone.returncode == 0, done.stderr[-2000:]
    assert outcomes(tmp_path / "two") == outcomes(tmp_path / "one")
    two = results(tmp_path / "two")
    assert {run["host"] for run in two["runs"]} == {"a", "b"} == set(two["lock"]["hosts"])
    assert (tmp_path / "two" / "run_3" / "optimized_nbody.py").read_text() == "x = 1\n"
    assert "Hosts (ratios are each host's own" in done.stdout
    rounds = {run["number"]: (run["host"], tuple(run["seeds"])) for run in two["runs"] if run["seeds"]}
    of_seed: dict[tuple[str, ...], set[str]] = {}
    for host, seeds in rounds.values():
        of_seed.setdefault(seeds, set()).add(host)
    assert of_seed and all(len(names) == 1 for names in of_seed.values())  # a round is of one host


def test_a_file_is_graded_on_a_host_of_the_cluster(hosts: Hosts, measuring_cpu: str, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("x = 1\n")
    (tmp_path / "y.py").write_text("y = 2\n")
    flags = ("--task", "slow_nbody", "--scale", "small", "--json", "--share", "1")
    done = hosts.run("grade", str(tmp_path / "x.py"), str(tmp_path / "y.py"), *flags)
    graded = json.loads(done.stdout)["runs"]
    assert [run["outcome"] for run in graded] == ["crashed", "crashed"], done.stderr[-2000:]
    assert {run["host"] for run in graded} <= {"a", "b"}


def test_a_host_that_is_killed_loses_no_finished_run_and_no_dollar_is_spent_twice(
    hosts: Hosts, endpoint: MessagesServer, second_engine: str, tmp_path: Path
) -> None:
    model = ("--agent", "model", "--no-preflight", "--concurrency", "1", "--job-cost-limit", "5")
    flags = ("--runs", "4", "--task", "slow_nbody", *SMALL, *model, "--output", str(tmp_path), "--name", "killed")
    asked = len(endpoint.requests)
    driver = hosts.start(*flags, "--hosts", "2", "--share", "2")

    def of_b() -> list[int]:
        """Final runs of b's by the journal, which has them at once."""
        path = tmp_path / "killed" / "journal.jsonl"
        entries = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
        said = [entry["content"] for entry in entries if entry["kind"] == "finished"]
        return [run["number"] for run in said if run["host"] == "b"]

    wait_until(lambda: bool(of_b()) or driver.poll() is not None, 300)
    (first,) = of_b()
    hosts.kill("b")
    err = driver.communicate(timeout=300)[1]
    assert driver.returncode == 0, err[-2000:]
    found = results(tmp_path / "killed")
    by_number = {run["number"]: run for run in found["runs"]}
    assert sorted(by_number) == [1, 2, 3, 4] and {run["outcome"] for run in found["runs"]} == {"no_submission"}
    assert by_number[first]["host"] == "b" and by_number[first]["lost_on"] == []
    (moved,) = [run for run in found["runs"] if run["lost_on"]]
    assert moved["host"] == "a" and moved["lost_on"] == ["b"] and "b is lost" in err
    # Two turns a run, and at most two of the one that was lost: nobody asked again for a run that was final.
    assert 8 <= len(endpoint.requests) - asked <= 10
    paid = sum(run["episode"]["dollars"] for run in found["runs"])
    assert paid <= found["totals"]["dollars"] <= 5.0
    other = find_engine(Settings(docker_host=second_engine))
    wait_until(lambda: containers_of(other, "killed") == [], 120)  # what it left behind has ended with its worker


def test_too_few_hosts_are_told_and_nothing_starts(hosts: Hosts, tmp_path: Path) -> None:
    flags = ("--task", "slow_nbody", *SMALL, "--output", str(tmp_path), "--agent", "scripted")
    done = hosts.run(*flags, "--hosts", "9")
    assert done.returncode == 3 and "of 9 hosts are there: a" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_version_of_ray_is_one_line(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.hosts.ray_cluster import RayCluster

    monkeypatch.setattr(ray, "__version__", "2.59.0")
    with pytest.raises(InfrastructureFault, match="of another version") as raised:
        RayCluster(hosts.address, None, 0.0, "")
    assert "\n" not in raised.value.cause and "to the patch" in raised.value.hint


def test_the_book_is_kept_by_a_process_on_the_drivers_machine(hosts: Hosts) -> None:
    from runner.hosts.messages import line_of, read_line
    from runner.hosts.ray_cluster import RayCluster

    cluster = RayCluster(hosts.address, 2.0, 0.5, "")
    try:
        question = line_of({"ask": "reserve", "token": "t", "amount": 1.0})
        answer: Mapping[str, Any] = read_line(ray.get(cluster._actor.ask.remote(b"share-1", question)))
        assert answer["granted"] and cluster.close_share("share-1") == 1.0
        assert cluster.state() == {"spent": 1.5, "exhausted": False}
    finally:
        cluster.close()


def test_a_machine_joins_as_a_host_and_is_seen_by_its_name(hosts: Hosts, engine: Engine, home: str) -> None:
    flags = ("--address", hosts.address, "--name", "joined", "--task", "slow_nbody", "--scale", "small")
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "host", *flags, "--no-calibrate"],
        cwd=hosts.project, env=clean_environment(home, DOCKER_HOST=engine.url), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None and "host joined: engine " in process.stdout.readline()

        def is_there() -> bool:
            done = hosts.run("--task", "slow_nbody", *SMALL, "--agent", "scripted", "--dry-run")
            return "joined" in done.stdout

        wait_until(is_there, 120)
    finally:
        process.terminate()
        process.wait(60)


def test_a_host_whose_engine_is_gone_gets_no_more_and_the_others_take_its_runs(hosts: Hosts, tmp_path: Path) -> None:
    hosts.join("broken", DOCKER_HOST="unix:///nowhere/docker.sock")
    task = tmp_path / "task"
    shutil.copytree(hosts.project / "problem_data" / "slow_nbody", task)
    for episode in (task / "episodes").glob("*.toml"):
        episode.write_text('[[turns]]\nsay = "I submit nothing."\n')
    flags = ("--runs", "4", "--share", "1", "--task", str(task), *SMALL, "--agent", "scripted")
    done = hosts.run(*flags, "--output", str(tmp_path), "--name", "broken", "--hosts", "2")
    assert "broken gets no more of this job" in done.stderr and done.returncode == 0, done.stderr[-2000:]
    assert "broken" not in {run["host"] for run in results(tmp_path / "broken")["runs"]}
    assert all(run["lost_on"] == [] for run in results(tmp_path / "broken")["runs"])
