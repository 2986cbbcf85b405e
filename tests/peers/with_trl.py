"""Rollouts of TRL's GRPO trainer, by the adapter in docs/how-to/connect-a-trainer.md.

The trainer, its tool calls and its rewards are real; the model is a small one with random weights, and what it says is
written down here, since no weights are loaded from anywhere.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["trl==1.16.0", "torch==2.13.0", "transformers==5.24.0"]
# ///

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import trl.chat_template_utils
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl import GRPOConfig, GRPOTrainer

from tests.documents import example

FILE = "optimized_nbody.py"
TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>", "<tool_call>", "</tool_call>")


@pytest.fixture
def adapter(project: Path, nbody_spec: object) -> Iterator[dict[str, Any]]:
    found: dict[str, Any] = {"__name__": "trl_environment"}
    exec(example(project / "docs" / "how-to" / "connect-a-trainer.md", "trl_environment.py"), found)
    yield found
    found["host"].__exit__(None, None, None)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """Of bytes, with the words and the template of a model that calls tools."""
    alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    plain = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.add_tokens([token for token in TOKENS if token not in made.get_vocab()], special_tokens=True)
    made.chat_template = trl.chat_template_utils.qwen3_chat_template
    return made


def call(tool: str, **given: str) -> str:
    return f"<tool_call>\n{json.dumps({'name': tool, 'arguments': given})}\n</tool_call><|im_end|>"


class Scripted(GRPOTrainer):
    """Says what stands in `script`, a turn after the other, one line of it for each rollout."""

    script: list[list[str]]
    rewards: list[Any]

    def _generate_single_turn(self, prompt_ids: list[Any], *given: Any, **more: Any) -> tuple[list[list[int]], None]:
        lines = self.script.pop(0)
        assert len(lines) == len(prompt_ids)
        return [self.processing_class.encode(line) for line in lines], None

    def _calculate_rewards(self, *given: Any, **more: Any) -> Any:
        self.rewards.append(super()._calculate_rewards(*given, **more))
        return self.rewards[-1]


def test_a_group_is_played_by_tool_calls_and_graded_together(
    adapter: dict[str, Any], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    small = Qwen3Config(vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                        num_attention_heads=1, num_key_value_heads=1, head_dim=8, eos_token_id=tokenizer.eos_token_id,
                        pad_token_id=tokenizer.pad_token_id)  # fmt: skip
    graded: list[Any] = []

    def speed(environments: list[Any], **more: Any) -> list[float | None]:
        graded.append(adapter["speed"](environments, **more))
        return graded[-1]

    trainer = Scripted(
        model=Qwen3ForCausalLM(small).to(torch.float32),
        processing_class=tokenizer,
        reward_funcs=speed,
        environment_factory=adapter["Optimize"],
        args=GRPOConfig(output_dir=str(tmp_path), max_steps=1, num_generations=2, per_device_train_batch_size=2,
                        max_completion_length=4096, report_to=[], use_cpu=True, bf16=False, save_strategy="no"),
        train_dataset=None,
    )  # fmt: skip
    trainer.rewards = []
    trainer.script = [
        [call("bash", command=f"echo x = 1 > {FILE}; ls"), call("bash", command="pwd")],
        [call("submit", path=FILE), "I give up.<|im_end|>"],
        ["Done.<|im_end|>"],
    ]
    trainer.train()
    assert trainer.script == []
    assert graded == [
        [0.0, 0.0]
    ]  # one file crashes, nothing was submitted of the other: no speed, and no fault of the host's
    (rewards,) = trainer.rewards
    assert rewards.flatten().tolist() == [0.0, 0.0]


def test_a_spoiled_reward_is_left_out_of_the_batch(adapter: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.faults import SandboxLost
    from runner.sandbox.container import Sandbox

    environment = adapter["Optimize"]()
    environment.reset()

    def lost(*given: object, **more: object) -> None:
        raise SandboxLost(cause="the engine went away", hint="start it again")

    with monkeypatch.context() as patch:
        patch.setattr(Sandbox, "ask", lost)
        assert environment.bash("true") == ""
    assert environment.bash("true") == "The episode is over."
    assert adapter["speed"]([environment]) == [None]
