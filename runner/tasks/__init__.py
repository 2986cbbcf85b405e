"""A task folder: task.toml (validated), its files, and the trusted problem.py that makes data and scores answers.

What a `problem.py` imports of the runner is listed in `__all__` below: the types of its functions (`Case`, `Cases`,
`Question`, `Answer`, `BadAnswer`, `Sizes`, `Order`, `Qualities`), and helpers for what most of them do (`generators`,
`items_equal`, `items_close`). It needs nothing else. `runner init FOLDER` writes a task that uses them;
docs/reference/task-toml.md has all that may be defined.
"""

from runner.tasks.authoring import Answer as Answer
from runner.tasks.authoring import BadAnswer as BadAnswer
from runner.tasks.authoring import Case as Case
from runner.tasks.authoring import Cases as Cases
from runner.tasks.authoring import Order as Order
from runner.tasks.authoring import Qualities as Qualities
from runner.tasks.authoring import Question as Question
from runner.tasks.authoring import Sizes as Sizes
from runner.tasks.authoring import generators as generators
from runner.tasks.authoring import items_close as items_close
from runner.tasks.authoring import items_equal as items_equal

__all__ = [
    "Answer",
    "BadAnswer",
    "Case",
    "Cases",
    "Order",
    "Qualities",
    "Question",
    "Sizes",
    "generators",
    "items_close",
    "items_equal",
]
