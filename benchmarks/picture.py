"""Three of the races in one picture, for README.md, from their results.

python -m benchmarks picture
"""

from benchmarks import _method, _pages

LENGTH = "4096"
LAYERS = ("heads", "multi_head", "additive")
FORMS = {
    "saved_model": "SavedModel",
    "saved_model --jit": "SavedModel, --jit",
    "eager": "PyTorch, eager",
    "torchscript": "TorchScript",
}
COLORS = {"ours": "tab:green", "keras": "tab:gray", "torch": "tab:orange"}


def draw_models(axes, rows):
    """Draws the ratios of each model, training and inference."""
    names = list(dict.fromkeys(row["model"] for row in rows))
    for what, mark in (("training", "o"), ("inference", "x")):
        ratios = {r["model"]: float(r["ratio"]) for r in rows if r["what"] == what}
        axes.plot([ratios[name] for name in names], range(len(names)), mark, label=what)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="time, ours / PyTorch")
    axes.set_xticks([0.5, 1, 2, 5], ["0.5", "1", "2", "5"], minor=False)
    axes.minorticks_off()
    axes.legend(fontsize=8)
    axes.set_title("Whole models, a step", fontsize=10)


def draw_serving(axes, rows):
    """Draws the latency of the text classifier, batch 1."""
    rows = [r for r in rows if r["model"] == "attention_lstm" and r["batch"] == "1"]
    latency = {}
    for row in rows:
        latency[row["form"]] = float(row["ours_ms"])
        latency[row["against"]] = float(row["other_ms"])
    colors = [COLORS["ours"]] * 2 + [COLORS["torch"]] * 2
    axes.bar(range(len(FORMS)), [latency[form] for form in FORMS], color=colors)
    axes.set_xticks(range(len(FORMS)), FORMS.values(), fontsize=8, rotation=20)
    axes.set(ylabel="median ms")
    axes.set_title("attention-LSTM served, one text of 200 words", fontsize=10)


def draw_layers(axes, rows):
    """Draws the peak memory of a training step of each contestant."""
    wanted = {
        (r["layer"], r["against"]): r
        for r in rows
        if r["what"] == "training" and r["T"] == LENGTH and r["ours_mb"]
    }
    for place, layer in enumerate(LAYERS):
        own = next(r for (name, _), r in wanted.items() if name == layer)
        bars = {"ours": own["ours_mb"]}
        for against in ("keras", "torch"):
            if (layer, against) in wanted:
                bars[against] = wanted[layer, against]["other_mb"]
        bars = {who: float(size) for who, size in bars.items() if size}
        for i, (who, size) in enumerate(bars.items()):
            label = who if not place else None
            axes.bar(place + 0.27 * i, size, 0.25, color=COLORS[who], label=label)
    axes.set_xticks([x + 0.27 for x in range(len(LAYERS))], LAYERS, fontsize=8)
    axes.set(yscale="log", ylabel="peak memory, MB")
    axes.legend(fontsize=8)
    axes.set_title(f"Attention, a training step at T {LENGTH}", fontsize=10)


def main(arguments):
    if arguments:
        print("usage: python -m benchmarks picture")
        return 2
    path = _method.RESULTS / "races.png"
    draws = {"models": draw_models, "serving": draw_serving, "layers": draw_layers}
    ratios = {"width_ratios": [1.2, 1, 1]}
    with _method.picture(path, 13, 3.6, 1, 3, **ratios) as panels:
        for axes, (name, draw) in zip(panels, draws.items(), strict=True):
            draw(axes, _pages.read_rows(_method.RESULTS / f"{name}.csv"))
    return 0
