"""No source outside recipes/tasks asks of which kind a task is."""

import ast
import pathlib

import pytest

from attention_zoo.recipes.tasks import TASKS

ROOT = pathlib.Path(__file__).resolve().parents[3]
SOURCES = [
    *(f for f in (ROOT / "recipes").glob("*/*.py") if f.parent.name != "tasks"),
    ROOT / "benchmarks" / "tables.py",
    *(f for f in (ROOT / "tests" / "recipes").rglob("*.py") if "tasks" not in f.parts),
]
FACTS = {fact for task in TASKS.values() for fact in task.facts}
NAMES = {*TASKS, *FACTS}


def strings(node):
    """Returns the texts in a node that are names of kinds or of their facts."""
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and part.value in NAMES
    }


def switches(source):
    """Returns the lines of a source that decide by a kind or by a kind's fact."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            asks = any("kind" in ast.unparse(p) for p in [node.left, *node.comparators])
            inside = any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops)
            named = strings(node.left) & FACTS if inside else set()
            bad = (asks and strings(node) & {*TASKS}) or named
        elif isinstance(node, ast.Match):
            bad = any(strings(case) & {*TASKS} for case in node.cases)
        elif isinstance(node, ast.Dict):
            keys = {k.value for k in node.keys if isinstance(k, ast.Constant)}
            bad = len(keys & {*TASKS}) > 1
        else:
            bad = False
        if bad:
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("file", SOURCES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_no_source_switches_on_a_kind(file):
    assert switches(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        'recipe.kind == "series"',
        'if claimed.recipe.kind not in ("text", "images"): pass',
        '"image_shape" in card',
        'own = {"series": a, "translation": b}[kind]',
        'match card["kind"]:\n    case "text": pass',
    ],
)
def test_the_guard_sees_a_switch(source):
    assert switches(source)
