"""Opens models of a folder and prints how far their outputs are from those stored.

Run as a script in a fresh process, `python open_models.py FOLDER [NAME ...]`: only
`attention_zoo` is imported before loading. Without names all models are opened.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import conftest  # noqa: E402, F401  (binds attention_zoo to this checkout)
import numpy as np  # noqa: E402

folder = pathlib.Path(sys.argv[1])
keras = __import__("keras")
__import__("attention_zoo")


def call(model, fed):
    """Calls a model; on JAX compiled as a whole, which is many times faster."""
    if keras.config.backend() != "jax":
        return model(fed)
    import jax

    trainable = [v.value for v in model.trainable_variables]
    rest = [v.value for v in model.non_trainable_variables]
    return jax.jit(model.stateless_call)(trainable, rest, fed)[0]


distances = {}
for path in sorted(folder.glob("*.keras")):
    if sys.argv[2:] and path.stem not in sys.argv[2:]:
        continue
    model = keras.models.load_model(path)
    fed = dict(np.load(path.with_suffix(".npz")))
    expected = np.load(path.with_suffix(".npy"))
    got = keras.ops.convert_to_numpy(call(model, fed))
    scale = max(1.0, float(np.abs(expected).max()))
    distances[path.stem] = float(np.abs(got - expected).max()) / scale
print(json.dumps({"backend": keras.config.backend(), "distances": distances}))
