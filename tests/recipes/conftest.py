"""What the tests of the recipes share: one smoke training, and which data there are."""

import hashlib
import os
import pathlib
import subprocess
import sys

import pytest
from support.fresh import TESTS

from attention_zoo.recipes.cli.main import main

RECIPE = "attention_lstm_reviews"
SMOKE = ("train", RECIPE, "--smoke", "--epochs", "2")


def pytest_runtest_setup(item):
    """Skips a test whose data set is not prepared, and says where it looked."""
    for mark in item.iter_markers("data"):
        folder = pathlib.Path(
            os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
        ).expanduser()
        for name in mark.args:
            if not any((folder / name).rglob("dataset_info.json")):
                pytest.skip(f"{name} is not prepared in {folder}")


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """The folder of a smoke training, as the command writes it."""
    out = tmp_path_factory.mktemp("smoke") / "saved models"
    assert main([*SMOKE, "--out", str(out)]) == 0
    return out / RECIPE


@pytest.fixture
def command(capsys):
    """Runs `attention-zoo ...` in this process: `(exit code, stdout, stderr)`."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(command):
    """Runs `attention-zoo ...`, which must end in one line and exit code 2."""

    def run(*arguments):
        code, out, err = command(*arguments)
        assert code == 2
        assert not out
        assert err.startswith("attention-zoo: error: ")
        assert err.count("\n") == 1
        return err.removeprefix("attention-zoo: error: ").rstrip("\n")

    return run


@pytest.fixture
def start_command():
    """Starts `attention-zoo ...` in a process of its own, as a shell would."""
    # A job in the background ignores Ctrl-C, and so would a process that it starts.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"import sys; sys.path.insert(0, {TESTS!r}); import conftest\n"
        "from attention_zoo.recipes.cli.main import main; sys.exit(main())"
    )

    def start(*arguments, cwd=None):
        return subprocess.Popen(
            [sys.executable, "-u", "-c", program, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


@pytest.fixture
def digests():
    """Returns a function from a folder to `{relative path: digest}` of its files."""

    def digest(folder):
        return {
            file.relative_to(folder).as_posix(): hashlib.sha256(
                file.read_bytes()
            ).hexdigest()
            for file in sorted(pathlib.Path(folder).rglob("*"))
            if file.is_file()
        }

    return digest
