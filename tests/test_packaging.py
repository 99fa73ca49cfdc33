"""What is in the checkout is what the wheel installs, and the wheel works."""

import configparser
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

import attention_zoo

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGED = (  # the trained models whose files are in the wheel
    "attention_forecaster_climate",
    "attention_lstm_reviews",
    "cbam_resnet_digits",
    "rnn_translator_dates",
)
LARGEST = 5_000_000  # bytes of the wheel
NOT_PACKAGED = {"tests", "benchmarks", "build", "dist"}


@pytest.fixture(scope="module")
def options():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser["options"]


@pytest.fixture(scope="module")
def package_dir(options):
    """`{package: folder}` as setup.cfg maps them."""
    lines = options["package_dir"].strip().splitlines()
    return dict(line.replace(" ", "").split("=") for line in lines)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from a copy so that no build folder of the checkout joins in."""
    copy = tmp_path_factory.mktemp("source") / "attention zoo"
    unwanted = shutil.ignore_patterns(
        ".*", "build", "dist", "*.egg-info", "__pycache__", "saved_model", "tests"
    )
    shutil.copytree(ROOT, copy, ignore=unwanted)
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", target, copy]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = target.glob("attention_zoo-*.whl")
    return file


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A fresh virtual environment with the wheel; its dependencies are borrowed."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    command += ["--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True, capture_output=True)
    # A plain line in a .pth file adds the folder, but not the editable installs in it.
    scheme = {"base": str(folder), "platbase": str(folder)}
    packages = pathlib.Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "borrowed.pth").write_text("\n".join(sorted(borrowed)))
    return folder


def run_in(environment, *command, cwd):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    clean["TF_CPP_MIN_LOG_LEVEL"] = "3"
    program = environment / "bin" / command[0]
    result = subprocess.run(
        [program, *command[1:]], cwd=cwd, env=clean, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def folder_of(package, package_dir):
    """Returns the folder that holds a package, by the longest mapped prefix."""
    parts = package.split(".")
    for n in range(len(parts), 0, -1):
        mapped = package_dir.get(".".join(parts[:n]))
        if mapped:
            return "/".join((mapped, *parts[n:]))
    raise AssertionError(f"{package} is not mapped to a folder")


def test_every_folder_with_an_init_is_a_listed_package(options, package_dir):
    listed = options["packages"].split()
    assert listed == sorted(listed)
    on_disk = {
        init.parent.relative_to(ROOT).as_posix()
        for init in ROOT.glob("[!.]*/**/__init__.py")
        if init.relative_to(ROOT).parts[0] not in NOT_PACKAGED
    }
    assert {folder_of(package, package_dir) for package in listed} == on_disk


def test_the_wheel_holds_the_packages_and_nothing_else(wheel, options, package_dir):
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
    expected = set()
    for package in options["packages"].split():
        folder = ROOT / folder_of(package, package_dir)
        inside = package.replace(".", "/")
        expected |= {f"{inside}/{file.name}" for file in folder.glob("*.py")}
        if (folder / "py.typed").exists():
            expected.add(f"{inside}/py.typed")
    small = [f"{name}/model.keras" for name in PACKAGED]
    for kind in (*small, "*/card.json", "*/README.md"):
        for file in (ROOT / "saved_models").glob(kind):
            relative = file.relative_to(ROOT / "saved_models").as_posix()
            expected.add(f"attention_zoo/saved_models/{relative}")
    # Whatever else lies in a package is data that it must have asked for.
    data = {name for name in names - expected if "/recipes/" in name}
    assert not [name for name in data if name.endswith(".py")]
    assert names - data == expected
    assert wheel.stat().st_size < LARGEST


def test_the_command_works_from_the_wheel(environment, tmp_path):
    assert "train" in run_in(environment, "attention-zoo", "--help", cwd=tmp_path)
    listed = run_in(environment, "attention-zoo", "list", cwd=tmp_path)
    for name in ("attention_lstm", "attention_lstm_imdb", "attention_lstm_reviews"):
        assert name in listed


def test_the_wheel_is_what_is_imported(environment, tmp_path):
    program = "import attention_zoo; print(attention_zoo.__version__, attention_zoo)"
    printed = run_in(environment, "python", "-c", program, cwd=tmp_path)
    assert printed.startswith(attention_zoo.__version__)
    assert str(environment) in printed


def test_trained_models_load_from_the_wheel_and_from_a_mirror(environment, tmp_path):
    """Those in the wheel need no place; the others are named and come from one."""
    program = (
        "import os, attention_zoo\n"
        "print(*attention_zoo.list_pretrained())\n"
        "print(attention_zoo.load('attention_lstm_reviews').count_params() > 0)\n"
        "try:\n"
        "    attention_zoo.load('attention_forecaster_etth1')\n"
        "except ValueError as error:\n"
        "    print('ATTENTION_ZOO_PLACE' in str(error))\n"
        f"os.environ['ATTENTION_ZOO_PLACE'] = {str(ROOT / 'saved_models')!r}\n"
        "print(attention_zoo.load('attention_forecaster_etth1').count_params() > 0)"
    )
    printed = run_in(environment, "python", "-c", program, cwd=tmp_path).split()
    assert printed == [*attention_zoo.list_pretrained(), "True", "True", "True"]
