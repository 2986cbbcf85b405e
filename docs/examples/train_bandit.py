"""A bandit over edit scripts, trained on real gradings: which edit makes slow_nbody fast, without breaking it?

Each step draws a group of edits from the policy, plays an episode for each, has the group graded together, and moves the
policy towards what was paid better than the group's average (REINFORCE).

Run: python docs/examples/train_bandit.py [SEED [STEPS GROUP]]
"""

import sys

import numpy as np

from runner import Env, Host

STEPS, GROUP, RATE = 3, 8, 4.0
ALL_PAIRS = """cat > optimized_nbody.py <<'END'
import numpy as np
def simulate(positions, velocities, masses, steps):
    where, speed = positions.copy(), velocities.copy()
    for _ in range(steps):
        apart = where[None] - where[:, None]
        pull = masses / ((apart**2).sum(2) + 1e-2) ** 1.5
        speed += 0.001 * (apart * pull[:, :, None]).sum(1)
        where += 0.001 * speed
    return {"positions": where, "velocities": speed}
END"""
EDITS = {
    "leave it as it is": "cp slow_nbody.py optimized_nbody.py",
    "all pairs at once": ALL_PAIRS,
    "half of the steps": "sed 's/range(steps)/range(steps \\/\\/ 2)/' slow_nbody.py > optimized_nbody.py",
}


def play(env: Env, edit: str) -> Env:
    env.reset()
    env.step({"name": "bash", "input": {"command": edit}})
    env.step({"name": "submit", "input": {"path": "optimized_nbody.py"}})
    return env


def train(seed: int, steps: int = STEPS, group: int = GROUP) -> list[float]:
    """The mean reward of each step."""
    random, logits, means = np.random.default_rng(seed), np.zeros(len(EDITS)), []
    with Host(slots=group) as host:
        envs = [host.open_episode("slow_nbody", "small") for _ in range(group)]
        for step in range(1, steps + 1):
            policy = np.exp(logits) / np.exp(logits).sum()
            arms = random.choice(len(EDITS), size=group, p=policy)
            for env, arm in zip(envs, arms, strict=True):
                play(env, list(EDITS.values())[arm])
            graded = host.grade_many(envs, reward="log_speedup")
            paid = [(arm, one.reward) for arm, one in zip(arms, graded, strict=True) if one.reward is not None]
            if not paid:  # the host spoiled all of them: nothing is learnt from that
                continue
            mean = float(np.mean([reward for _, reward in paid]))
            for arm, reward in paid:
                logits += RATE * (reward - mean) * (np.eye(len(EDITS))[arm] - policy) / len(paid)
            means.append(mean)
            print(f"step {step}: mean reward {mean:.2f}, of {len(paid)} of {group} episodes", flush=True)
    after = np.exp(logits) / np.exp(logits).sum()
    for name, share in zip(EDITS, after, strict=True):
        print(f"  {share:.2f}  {name}")
    return means


if __name__ == "__main__":
    train(*map(int, sys.argv[1:] or ["1"]))
