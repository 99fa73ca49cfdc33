"""Random layers with random arguments, shapes, dtypes and masks; see `random_checks`.

ATTENTION_ZOO_CASES sets how many; `make soak` draws thousands, anew in each run, and
gathers the faults of all of them.
"""

import collections
import os

import hypothesis
import pytest
from hypothesis import strategies as st
from support.random_checks import BACKEND, CHECKS, Refused, check
from support.random_layers import problems

CASES = {"tensorflow": 150, "torch": 200, "jax": 4}[BACKEND]
SOAK = "ATTENTION_ZOO_CASES" in os.environ
CASES = int(os.environ.get("ATTENTION_ZOO_CASES", CASES))
AT_ONCE = 1 if BACKEND == "jax" else 3  # JAX compiles each


@pytest.mark.slow
def test_random_layers():
    seen: collections.Counter = collections.Counter()
    faults: dict = {}

    @hypothesis.settings(
        max_examples=CASES,
        deadline=None,
        derandomize=not SOAK,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(problems(), names_of_checks())
    def run_case(problem, names):
        seen["cases"] += 1
        try:
            check(problem, names, seen)
        except Refused:
            seen["refused"] += 1
        except Exception as error:
            fault = f"{problem.name}: {type(error).__name__} {str(error)[:300]}"
            faults.setdefault(fault, (names, problem))

    run_case()
    print(BACKEND, dict(seen), f"{len(faults)} kinds of faults")
    for fault, case in faults.items():
        print(f"{fault}\n  {case}"[:2000])
    assert not faults
    assert seen["refused"] < seen["cases"] / 2, "most cases say nothing"


def names_of_checks():
    """A strategy of the checks that a case goes through."""
    name = st.sampled_from(sorted(CHECKS))
    return st.lists(name, min_size=AT_ONCE, max_size=AT_ONCE, unique=True)
