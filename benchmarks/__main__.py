"""Runs one of the benchmarks: `python -m benchmarks <name> [options]`."""

import importlib
import pathlib
import pkgutil
import sys

import benchmarks


def main(arguments):
    names = sorted(
        module.name
        for module in pkgutil.iter_modules(benchmarks.__path__)
        if not module.name.startswith("_")
    )
    if not arguments or arguments[0] not in names:
        print(f"usage: python -m benchmarks {{{','.join(names)}}} ...", file=sys.stderr)
        return 2
    module = importlib.import_module(f"benchmarks.{arguments[0]}")
    return module.main(arguments[1:])


if __name__ == "__main__":
    if not pathlib.Path("setup.cfg").exists():
        sys.exit("benchmarks: run this in the project's folder")
    sys.exit(main(sys.argv[1:]))
