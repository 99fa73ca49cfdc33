"""A fresh Python process that sees this checkout as `attention_zoo`."""

import os
import pathlib
import subprocess
import sys

TESTS = str(pathlib.Path(__file__).resolve().parents[1])


def run_fresh(code, *arguments, cwd=None, check=True, **environment):
    """Runs Python code in a new process and returns what it printed.

    Args:
        code: String, the program. `attention_zoo` is not imported beforehand.
        *arguments: Strings for `sys.argv[1:]`.
        cwd: Working directory of the process.
        check: Whether a failing program raises here.
        **environment: More environment variables.

    Returns:
        The `subprocess.CompletedProcess`, its output as text.
    """
    bind = f"import sys; sys.path.insert(0, {TESTS!r}); import conftest\n"
    result = subprocess.run(
        [sys.executable, "-c", bind + code, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
    )
    if check and result.returncode:
        raise AssertionError(f"the process failed:\n{result.stdout}{result.stderr}")
    return result
