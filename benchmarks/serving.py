"""A served model: the exported SavedModel against PyTorch, eager and TorchScript.

    python -m benchmarks serving [--only NAME] [--rounds N] [--smoke]

Ours is what `attention-zoo export` writes, loaded by plain TensorFlow, as it is
(`saved_model`) and with XLA (`saved_model --jit`). A text classifier is given raw
strings and splits them into words itself; PyTorch is given the ids of the words. The
twins have the model's weights, and the outputs are checked to be equal first. Calls
with one example tell the latency: the median and the 99th percentile; calls with 64 the
throughput. Compiling, which the first call with a new size does, is not in them, but
`first_s` is the time of the first call. Writes `benchmarks/results/serving.csv`,
`.json` and `.png`.
"""

import functools
import itertools
import pathlib
import statistics
import tempfile
import time

from benchmarks import _method, _model_pairs

BATCHES = {1: 200, 64: 20}  # sizes, and rounds of each


def servable(name, core):
    """Returns the model that is exported: texts from strings, others as they are."""
    import keras
    from keras import ops

    if name != "attention_lstm":
        return core
    size = core.get_layer("embedding").input_dim
    vocabulary = [f"w{i}" for i in range(2, size)]
    words = keras.layers.TextVectorization(vocabulary=vocabulary, name="words")
    text = keras.Input((), dtype="string", name="text")
    ids = ops.cast(words(text), "int32")[:, : _model_pairs.WORDS]
    return keras.Model(text, core(ids), name=name)


def raw(name, inputs):
    """Returns inputs as the SavedModel takes them; ids become words."""
    import tensorflow as tf

    if name != "attention_lstm":
        return tf.constant(inputs)
    return tf.constant([" ".join(f"w{i}" for i in row) for row in inputs])


def export(name, core, folder):
    """Exports both forms and returns them as TensorFlow loads them, by name."""
    import tensorflow as tf

    from attention_zoo.recipes.engine import publishing as _export

    forms = {}
    for form, jit in (("saved_model", False), ("saved_model --jit", True)):
        target = pathlib.Path(folder) / str(jit)
        _export.write_saved_model(servable(name, core), target, jit=jit)
        forms[form] = tf.saved_model.load(str(target))
    return forms


def rivals(twin, inputs):
    """Returns PyTorch's forms of a twin, functions by name."""
    import torch

    twin.eval()
    with torch.inference_mode():
        traced = torch.jit.freeze(torch.jit.trace(twin, tuple(inputs)))
    return {"eager": twin, "torchscript": traced}


def contest(kind, forms, models, given, inputs):
    """Returns functions that predict, by name, and the seconds of our first calls.

    Raises:
        AssertionError: where outputs differ.
    """
    import numpy as np

    def ours(loaded):
        return loaded.serve(given).numpy()

    def other(model):
        return _model_pairs.predict(kind, model, inputs)

    contestants = {k: functools.partial(other, v) for k, v in models.items()}
    expected, first = contestants["eager"](), {}
    for form, loaded in forms.items():
        start = time.perf_counter()
        outputs = ours(loaded)
        first[form] = time.perf_counter() - start
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
        contestants[form] = functools.partial(ours, loaded)
    return contestants, first


def race(name, options):
    """Returns the rows of one model."""
    import numpy as np

    kind, _, config = _model_pairs.settings(name, options.smoke)
    core, twin = _model_pairs.make_pair(name, config)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        forms = export(name, core, folder)
        for batch, usual in BATCHES.items():
            (array,), _ = _model_pairs.make_data(kind, config, batch, options.smoke)
            array = np.maximum(array, 2) if kind == "text" else array  # known words
            inputs = _model_pairs.to_torch(kind, [array])
            models, given = rivals(twin, inputs), raw(name, array)
            contestants, first = contest(kind, forms, models, given, inputs)
            seconds = _method.take_turns(contestants, options.rounds or usual)
            for form, rival in itertools.product(forms, models):
                ours, other = seconds[form], seconds[rival]
                row = {"model": name, "form": form, "batch": batch, "against": rival}
                row |= _method.compare(ours, other) | tails(ours, other, batch)
                rows.append({**row, "first_s": round(first[form], 2)})
    return rows


def tails(ours, other, batch):
    """Returns the 99th percentiles in ms and the examples a second, a dict."""
    figures = {}
    for which, seconds in (("ours", ours), ("other", other)):
        late = statistics.quantiles(seconds, n=100, method="inclusive")[-1]
        figures[f"{which}_p99_ms"] = _method.digits(1000 * late)
        rate = batch / statistics.median(seconds)
        figures[f"{which}_per_s"] = _method.digits(rate)
    return figures


main = _method.Race(
    "serving",
    __doc__,
    race,
    ("attention_lstm", "cbam_resnet", "inverted_transformer"),
    smoke=("attention_lstm",),
    title="Serving: the exported SavedModel against PyTorch",
    rounds=0,  # those of BATCHES
)
