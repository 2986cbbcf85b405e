"""strategies.toml: what is wrong with one is said, and a task without one has no parts."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.faults import TaskFault
from runner.sandbox.wire import HEADER, Frame, Kind, decode_head, encode
from runner.tasks.ast_grep_rules import KEYS
from runner.tasks.strategies import load_strategies, rules_of
from runner.tasks.task import Task, find_task

GOOD = '[[part]]\nname = "p"\n[[part.strategy]]\nid = "a"\ntitle = "A"\npatterns = ["f($$$)"]\noutside = ["call"]\n'


@pytest.fixture
def task(project: Path, tmp_path: Path) -> Task:
    shutil.copytree(project / "problem_data" / "slow_nbody", tmp_path / "slow_nbody")
    return find_task("slow_nbody", tmp_path)


def test_a_task_without_the_file_has_no_parts(task: Task) -> None:
    assert load_strategies(task) == () and rules_of(()) == {}


def test_a_pattern_becomes_a_rule_that_minds_where_it_does_not_count(task: Task) -> None:
    (task.folder / "strategies.toml").write_text(GOOD)
    apart = {"not": {"inside": {"kind": "call", "stopBy": "end"}}}
    assert rules_of(load_strategies(task)) == {"p/a": {"all": [{"any": [{"pattern": "f($$$)"}]}, apart]}}


def test_the_position_of_a_child_may_be_counted_among_those_of_a_rule(task: Task) -> None:
    rule = '{ nthChild = { position = 1, ofRule = { any = [{ kind = "x" }] } } }'
    (task.folder / "strategies.toml").write_text(GOOD.replace('"f($$$)"', rule))
    (found,) = rules_of(load_strategies(task)).values()
    assert '"ofRule": {"any": [{"kind": "x"}]}' in json.dumps(found)


RULE = '["f($$$)"]'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[part]]\n", "line 1: part.0.name is missing"),
        (GOOD.replace("patterns", "paterns"), "line 6: unknown key part.0.strategy.0.paterns"),
        (GOOD.replace("name", "nam"), "line 2: unknown key part.0.nam"),
        (GOOD.replace('"a"', '"A b"'), "line 4: part.0.strategy.0.id = 'A b'"),
        (GOOD.replace('"a"', '"not-seen"'), "line 4: part.0.strategy.0.id = 'not-seen': means"),
        (GOOD.replace('"a"', '"novel-2"'), "line 4: part.0.strategy.0.id = 'novel-2': means"),
        (GOOD.replace('"p"', '""'), "line 2: part.0.name = ''"),
        (GOOD.replace('["call"]', "[3]"), "line 7: part.0.strategy.0.outside.0 = 3"),
        ("part = ", "Invalid value"),
        ("part = " + "[" * 5000, "is not valid TOML"),
        ("", "part is missing"),
        (GOOD + GOOD, "line 9: there is another part 'p', on line 2"),
        (GOOD + GOOD[GOOD.index("[[part.s") :], "line 9: there is another strategy 'a' of part 'p', on line 4"),
        (GOOD.replace(RULE, "[3]"), "patterns.0 = 3: is neither a pattern nor a rule"),
        (GOOD.replace(RULE, "[{}]"), "is neither a pattern nor a rule"),
        (GOOD.replace(RULE, '[" "]'), "a pattern is empty"),
        (GOOD.replace(RULE, "[]"), "line 6: part.0.strategy.0.patterns = []"),
        (GOOD.replace(RULE, '[{ patern = "f" }]'), "unknown key 'patern' of a rule (did you mean 'pattern'?)"),
        (GOOD.replace(RULE, '[{ matches = "f" }]'), "unknown key 'matches' of a rule"),
        (GOOD.replace(RULE, '[{ pattern = "f", stopBy = "end" }]'), "unknown key 'stopBy' of a rule"),
        (GOOD.replace(RULE, '[{ pattern = "f", has = { kind = "x", stopBy = "ende" } }]'), "write 'end', 'neighbor'"),
        (GOOD.replace(RULE, '[{ pattern = { text = "f" } }]'), "unknown key 'text' of a pattern"),
        (GOOD.replace(RULE, "[{ kind = 2020-01-01 }]"), "'kind' is not a text"),
        (GOOD.replace(RULE, "[{ nthChild = nan }]"), "'nthChild' holds what is neither a text nor a whole number"),
        (GOOD.replace(RULE, f"[{{ nthChild = 0x{'f' * 5000} }}]"), "nthChild is a number of 20000 bits"),
        (GOOD.replace(RULE, "[{ any = [] }]"), "'any' is not a list of rules"),
        (GOOD.replace(RULE, '[{ all = ["f"] }]'), "'all' holds no rule"),
        (GOOD.replace(RULE, '[{ not = "f" }]'), "'not' holds no rule"),
        (GOOD.replace(RULE, "[" + "{ not = " * 9 + '{ pattern = "f" }' + " }" * 9 + "]"), "deeper than 8 levels"),
        (GOOD.replace(RULE, f"[{', '.join([repr('f(x)' * 70)] * 200)}]"), "49152 is the most"),
        (GOOD.replace(RULE, f"['{'f' * 301}']"), "a pattern has 301 characters"),
    ],
)
def test_a_wrong_file_is_explained_by_line_and_key(task: Task, text: str, said: str) -> None:
    (task.folder / "strategies.toml").write_text(text)
    with pytest.raises(TaskFault) as caught:
        load_strategies(task)
    assert "strategies.toml" in caught.value.cause and said in caught.value.cause


def test_what_is_no_file_or_no_text_is_explained(task: Task) -> None:
    path = task.folder / "strategies.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(TaskFault, match="is not UTF-8: byte 0 is wrong"):
        load_strategies(task)
    path.unlink()
    path.mkdir()
    with pytest.raises(TaskFault, match="is not a file"):
        load_strategies(task)


TOML = st.recursive(
    st.sampled_from(["'f'", "''", "3", "nan", "true", "2020-01-01", "[]", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda values: f"[{', '.join(values)}]")
        | st.dictionaries(st.sampled_from([*KEYS, "stopBy", "x"]), inner, max_size=3).map(
            lambda entries: f"{{{', '.join(f'{key} = {value}' for key, value in entries.items())}}}"
        )
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rule=TOML)
def test_whatever_stands_for_a_rule_is_explained_or_can_be_sent_to_the_parser(task: Task, rule: str) -> None:
    (task.folder / "strategies.toml").write_text(GOOD.replace(RULE, f"[{rule}]"))
    try:
        rules = rules_of(load_strategies(task))
    except TaskFault as fault:
        assert "line 6: part.0.strategy.0.patterns" in fault.cause
    else:
        frame = encode(Frame(kind=Kind.REQUEST, sequence=1, head={"op": "parse", "rules": rules}))
        assert decode_head(frame[HEADER.size :])["rules"] == rules


def test_the_flagship_names_its_parts(project: Path) -> None:
    parts = load_strategies(find_task("slow_ml_training_complex", project / "problem_data"))
    assert [part.name for part in parts][:4] == ["normalisation", "gradients", "histograms", "activation"]
    assert all(part.seen for part in parts)


def test_a_rule_may_say_what_stands_around_a_pattern_and_a_part_whether_it_is_there_at_all(task: Task) -> None:
    rule = 'patterns = [{ pattern = "f($$$)", inside = { kind = "for_statement", stopBy = "end" } }]'
    text = GOOD.replace('patterns = ["f($$$)"]\noutside = ["call"]', rule).replace('"p"\n', '"p"\nseen = ["f"]\n')
    (task.folder / "strategies.toml").write_text(text)
    inside = {"pattern": "f($$$)", "inside": {"kind": "for_statement", "stopBy": "end"}}
    assert rules_of(load_strategies(task)) == {"p/a": {"any": [inside]}, "p/?": {"any": [{"pattern": "f"}]}}
