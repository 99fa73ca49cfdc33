"""Which method to believe: `compare_methods` measures, `method="auto"` obeys a card."""

import dataclasses

import numpy as np

from attention_zoo.interpret.calls import MethodError, NoAttentionError
from attention_zoo.interpret.methods.faithfulness import Faithfulness, known_mean

REFERENCE = "occlusion"  # asks what the measures ask, so that it proves nothing
MEASURES = ("rank_correlation", "comprehensiveness", "sufficiency")
WITHOUT_ATTENTION = "gradient_x_input"


@dataclasses.dataclass(frozen=True)
class MethodComparison:
    """How faithful each method is on one batch of inputs.

    Attributes:
        faithfulness: Dict from the name of a method to its `Faithfulness`.
        left_out: Dict from the methods that the model has not to the reason.
    """

    faithfulness: dict[str, Faithfulness]
    left_out: dict[str, str]

    @property
    def best(self):
        """The most faithful method, or None where nothing is defined.

        It is the one with the highest comprehensiveness less sufficiency: the output
        falls without the parts that it puts first, and stands with these alone. The
        rank correlation says how all parts are ordered, those that hardly matter too.
        Occlusion asks the measure's own question and stands aside.
        """
        return best_of(self.means())

    def means(self):
        """Returns the mean of each measure of each method, a dict of dicts.

        A measure that is defined for no input is left out.
        """
        rows = {}
        for name, one in self.faithfulness.items():
            means = {key: float(known_mean(getattr(one, key))) for key in MEASURES}
            rows[name] = {k: value for k, value in means.items() if np.isfinite(value)}
        return rows

    def __str__(self):
        return table_of(self.means(), self.best)


def compare_methods(explanation, methods=None, batch_size=64):
    """Measures which method of explanation is the most faithful to a model.

    Args:
        explanation: What `explain` returned for a batch like the inputs that matter.
        methods: Names of methods. Defaults to `None`, all that the kind of input has.
        batch_size: Integer, inputs per call of the model. Defaults to `64`.

    Returns:
        A `MethodComparison`. `print` shows it as a table; `best` is the method.

    Raises:
        ValueError: If the model has none of the methods.

    Example:

    ```python
    model = attention_zoo.create("attention_lstm", vocabulary_size=7, units=2)
    explanation = attention_zoo.explain(model, np.array([[2, 3, 5]]))
    methods = ("attention", "gradient")
    compared = attention_zoo.interpret.choice.compare_methods(explanation, methods)
    assert list(compared.faithfulness) == ["attention", "gradient"]
    ```
    """
    found, left_out = {}, {}
    for method in methods or explanation.methods:
        try:
            one = explanation.with_method(method)
            found[method] = one.faithfulness(batch_size=batch_size)
        except ValueError as error:
            left_out[method] = str(error)
    if not found:
        raise MethodError(
            "`compare_methods` expects a model with at least one method whose "
            f"faithfulness can be measured. Received: {explanation.model.name!r}: "
            f"{next(iter(left_out.values()), 'no method')}"
        )
    return MethodComparison(found, left_out)


def best_of(means):
    """Returns the method that `MethodComparison.best` documents.

    Args:
        means: Dict from method to dict from measure to its mean.
    """
    found = {
        name: row["comprehensiveness"] - row["sufficiency"]
        for name, row in means.items()
        if name != REFERENCE and {"comprehensiveness", "sufficiency"} <= row.keys()
    }
    return max(found, key=found.__getitem__, default=None)


def table_of(means, best):
    """Returns the means of methods as lines, the best one marked.

    Args:
        means: Dict from method to dict from measure to its mean.
        best: Name of a method, or None.
    """
    lines = [f"  {'':20} " + " ".join(f"{name:>17}" for name in MEASURES)]
    for name, row in means.items():
        cells = (row.get(key) for key in MEASURES)
        told = ("" if value is None else f"{value:.3f}" for value in cells)
        mark = "*" if name == best else " "
        lines.append(f"{mark} {name:20} " + " ".join(f"{one:>17}" for one in told))
    return "\n".join(line.rstrip() for line in lines)


def explain_by_choice(kind, card, model, *inputs):
    """Explains by the most faithful method that a card names, or what there is.

    Args:
        kind: The subclass of `Explanation`.
        card: The parsed card of the model, or None.
        model: The model.
        *inputs: What `kind.of` takes before the method.

    Returns:
        The explanation, with a `note` where there was a choice.
    """
    if len(kind.methods) == 1:
        return kind.of(model, *inputs, *kind.methods)
    method, row = _from_card(card, kind.methods)
    if method is not None:
        explanation = kind.of(model, *inputs, method)
        explanation.note = (
            f"method {method}: the most faithful by the model's card "
            f"(comprehensiveness {row['comprehensiveness']:.2f}, sufficiency "
            f"{row['sufficiency']:.2f})"
        )
        return explanation
    try:
        explanation = kind.of(model, *inputs, "attention")
        why = "its methods are not measured"
    except NoAttentionError:
        if WITHOUT_ATTENTION not in kind.methods:
            raise
        explanation = kind.of(model, *inputs, WITHOUT_ATTENTION)
        why = "the model has no attention of parts of its inputs"
    explanation.note = f"method {explanation.method}: {why}"
    return explanation


def _from_card(card, methods):
    """Returns the method that a card names and its measures, or None twice.

    A card is a file that people edit: what does not fit counts as nothing.
    """
    try:
        method = card["explanations"]["best"]
        row = card["explanations"]["methods"][method]
        if method in methods and all(np.isfinite(row[key]) for key in MEASURES[1:]):
            return method, row
    except (KeyError, TypeError):
        pass
    return None, None
