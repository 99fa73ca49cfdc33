"""Scores of translations: BLEU and chrF by sacrebleu, and exact match."""

import numpy as np

from attention_zoo.recipes.cards import plots

LENGTHS = (8, 11, 14, 18)  # words of the source at most, group by group


def bleu(translations, references, sources):
    """Returns BLEU and chrF of all sentences, and BLEU by the source's length.

    Args:
        translations: List of strings.
        references: List of strings, one for each.
        sources: List of strings or bytes, for their lengths in words.

    Returns:
        Dict of `bleu`, `chrf`, and `bleu_1_8` and the like where there are sentences of
        these lengths.
    """
    from sacrebleu.metrics import BLEU, CHRF

    scores = {
        "bleu": BLEU().corpus_score(translations, [references]).score,
        "chrf": CHRF().corpus_score(translations, [references]).score,
    }
    words = np.array([len(text.split()) for text in sources])
    for name, inside in groups(words).items():
        picked = np.flatnonzero(inside)
        if len(picked):
            found = BLEU().corpus_score(
                [translations[i] for i in picked], [[references[i] for i in picked]]
            )
            scores[f"bleu_{name}"] = found.score
    return scores


def groups(words):
    """Returns which sentences are in which group of lengths, by the group's name."""
    edges = zip((0, *LENGTHS), (*LENGTHS, np.inf), strict=True)
    inside = [(words > first) & (words <= last) for first, last in edges]
    return dict(zip(group_names(), inside, strict=True))


def group_names():
    """Returns the names of the groups of lengths, such as `1_8` and `19_up`."""
    starts = [1, *(last + 1 for last in LENGTHS)]
    return [f"{a}_{b}" for a, b in zip(starts, [*LENGTHS, "up"], strict=True)]


def signatures():
    """Returns sacrebleu's signatures of BLEU and chrF, for the card."""
    from sacrebleu.metrics import BLEU, CHRF

    made = []
    for metric in (BLEU(), CHRF()):
        name = metric.corpus_score(["a"], [["a"]]).name
        made.append(f"{name}: {metric.get_signature()}")
    return made


def exact_match(translations, references, sources):
    """Returns the share of translations that are the reference, as a dict."""
    del sources
    same = [a == b for a, b in zip(translations, references, strict=True)]
    return {"exact_match": float(np.mean(same))}


def plot_bleu_by_length(path, runs, twins):
    """Draws BLEU by the length of the source, model and twin.

    Args:
        path: File to write.
        runs: List of `Run`s of the model.
        twins: List of `Run`s of the twin without attention.
    """
    from matplotlib.figure import Figure

    names = group_names()
    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for label, group, color in (("model", runs, "C0"), ("no attention", twins, "C1")):
        for i, run in enumerate(group):
            scores = [run.test.get(f"bleu_{name}", float("nan")) for name in names]
            axes.plot(scores, "o-", color=color, label=label if i == 0 else None)
    labels = [name.replace("_up", " +").replace("_", " to ") for name in names]
    axes.set_xticks(range(len(names)), labels)
    axes.set(xlabel="words of the source", ylabel="BLEU on test", ylim=(0, None))
    axes.legend()
    plots.save(figure, path)
