"""An episode behind a tool of verl's, by the adapter in docs/how-to/connect-a-trainer.md.

The tool is made, called and released as verl's agent loop does it, once for each call.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["verl==0.9.1", "torch==2.13.0"]
# ///

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from verl.tools.base_tool import BaseTool
from verl.tools.schemas import OpenAIFunctionToolSchema

from tests.documents import example

FILE = "optimized_nbody.py"


@pytest.fixture
def adapter(project: Path, nbody_spec: object) -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "verl_tools"}
    exec(example(project / "docs" / "how-to" / "connect-a-trainer.md", "verl_tools.py"), found)
    return found


def tool(adapter: dict[str, Any], name: str, parameter: str) -> BaseTool:
    properties = {parameter: {"type": "string", "description": "what it says"}}
    parameters = {"type": "object", "properties": properties, "required": [parameter]}
    function = {"name": name, "description": name, "parameters": parameters}
    schema = OpenAIFunctionToolSchema.model_validate({"type": "function", "function": function})
    made = adapter["SandboxTool"]({}, schema)
    assert isinstance(made, BaseTool)
    return made


async def called(one: BaseTool, trajectory: Any, **parameters: str) -> tuple[str, float | None]:
    """(what it says, its reward) of a call, made and released as the agent loop does it."""
    instance, _ = await one.create(create_kwargs={})
    response, reward, _ = await one.execute(instance, parameters, agent_data=trajectory)
    await one.release(instance)
    return str(response.text), reward


def test_trajectories_keep_their_episodes_from_call_to_call(adapter: dict[str, Any]) -> None:
    bash, submit = tool(adapter, "bash", "command"), tool(adapter, "submit", "path")

    async def play() -> None:
        one, two = SimpleNamespace(request_id="one"), SimpleNamespace(request_id="two")
        async with adapter["host"] as host:
            assert await called(bash, one, command=f"cd /tmp; echo x = 1 > /workspace/{FILE}") != ("", None)
            assert (await called(bash, one, command="pwd"))[0].startswith("/tmp")
            assert FILE not in (await called(bash, two, command="ls"))[0]
            _, reward = await called(submit, one, path=FILE)
            assert reward == 0.0  # it crashes
            assert await called(bash, one, command="pwd") == ("The episode is over.", None)
            assert len(host.host.fleet.live()) == 1  # of the one that goes on
            job, engine = host.host.fleet.job, host.host.fleet.engine
        assert engine.client.api.containers(all=True, filters={"label": f"runner.job={job}"}) == []

    asyncio.run(play())
