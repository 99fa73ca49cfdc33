"""docs/explaining.md names every method, and its code runs."""

import pathlib
import re

from attention_zoo.interpret.registry import METHODS

GUIDE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "explaining.md"


def test_the_code_of_the_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text(encoding="utf-8")
    for code in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(code, {})
    assert "Method: occlusion" in (tmp_path / "explanation.html").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)`", text, re.MULTILINE) == list(METHODS)
