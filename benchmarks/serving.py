"""A served model: the exported SavedModel against PyTorch, eager and TorchScript.

    python -m benchmarks serving [--only NAME] [--rounds N] [--smoke]

Calls with one example tell the latency, with the 99th percentile, calls with 64 the
throughput. The first call with a new size compiles; it is `first_s`, and not in them.
"""

import functools
import itertools
import pathlib
import statistics
import tempfile
import time

from benchmarks import _method, _model_pairs

OURS = ("saved_model", "saved_model --jit")
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

    from attention_zoo.recipes.engine import publishing

    forms = {}
    for form in OURS:
        target = pathlib.Path(folder) / form.replace(" ", "")
        model = servable(name, core)
        publishing.write_saved_model(model, target, jit="--jit" in form)
        forms[form] = tf.saved_model.load(str(target))
    return forms


def contestants(name, kind, forms, twin, array):
    """Returns functions that predict, by name, checked to be equal.

    Also returns the seconds of the first calls of ours with this size.
    """
    import numpy as np
    import torch

    inputs = _model_pairs.to_torch(kind, [array])
    with torch.inference_mode():
        traced = torch.jit.freeze(torch.jit.trace(twin.eval(), tuple(inputs)))
    calls, first, given = {}, {}, raw(name, array)
    for form, module in {"eager": twin, "torchscript": traced}.items():
        calls[form] = functools.partial(_model_pairs.predict, kind, module, inputs)
    expected = calls["eager"]()
    for form, loaded in forms.items():
        calls[form] = lambda loaded=loaded: loaded.serve(given).numpy()
        start = time.perf_counter()
        outputs = calls[form]()
        first[form] = round(time.perf_counter() - start, 2)
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    return calls, first


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
            calls, first = contestants(name, kind, forms, twin, array)
            seconds = _method.take_turns(calls, options.rounds or usual)
            for form, rival in itertools.product(OURS, ("eager", "torchscript")):
                ours, other = seconds[form], seconds[rival]
                row = {"model": name, "form": form, "batch": batch, "against": rival}
                row |= _method.compare(ours, other) | tails(ours, other, batch)
                rows.append(row | {"first_s": first[form]})
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
