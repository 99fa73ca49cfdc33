"""Every argument of every public layer acts, is saved, and has no silent namesake.

Of each argument of each class: it is in `get_config`; a layer with another value, after
save and load, gives another output or other weights than the layer without; and an
argument that only another class of the package takes is refused, with a near name where
there is one.
"""

import functools
import inspect
import json

import keras
import numpy as np
import pytest
from support.check_layer import BACKEND, shake, symbolic, to_numpy
from support.layer_cases import all_cases

from attention_zoo import layers
from attention_zoo.layers.core.validation import KERAS_ARGUMENTS, WEIGHT_ARGUMENTS

pytestmark = pytest.mark.skipif(BACKEND == "jax", reason="compiles each of them")

# Arguments that change no output, and the tests that check what they do.
UNSEEN = {
    "attention_axes": "other inputs: tests/layers/sequence/test_keras_arguments.py",
    "bias_constraint": "training: tests/layers/test_weight_options.py",
    "block_size": "memory: tests/layers/core/test_flash.py, tests/test_benchmarks.py",
    "chunk_size": "memory: tests/layers/efficient/test_linear.py and test_stateful.py",
    "flash_attention": "the path: tests/layers/core/test_fused.py",
    "kernel_constraint": "training: tests/layers/test_weight_options.py",
    "data_format": "the layout of the inputs: tests/layers/vision/test_drop_in.py",
    "momentum": "of an average over steps: tests/layers/sequence/test_hard.py",
    "HardAttention.temperature": "gradients: tests/layers/sequence/test_hard.py",
    "max_length": "the longest input: tests/layers/sequence/test_synthesizer.py",
}
# Those of them that a config has only where they are given.
WHERE_GIVEN = {
    "attention_axes": 1,
    "bias_constraint": "non_neg",
    "flash_attention": False,
    "kernel_constraint": "non_neg",
}
# Another value for an argument of any class; a pair adds what makes it matter.
DROPS = {"dropout": 0.5}
OTHER = {
    "activation": "tanh",
    "alignment": "local_m",
    "attention": {"normalizer": "sigmoid"},
    "attention_units": 3,
    "base": 10.0,
    "bias_initializer": "ones",
    "bias_regularizer": "l2",
    "bidirectional": False,
    "branches": 3,
    "cap": 0.5,
    "combine": "max",
    "conv_size": 3,
    "dilation_rate": 1,
    "dropout": 0.5,
    "entropy_weight": 0.5,
    "epsilon": 0.5,
    "estimator": "gumbel",
    "extent": 2,
    "extra_size": 2,
    "factor": 3.0,
    "filters": 6,
    "fraction": 0.5,
    "gate_activation": "tanh",
    "gate_rank": 3,
    "groups": 2,
    "hard": True,
    "hard_inference": True,
    "hidden_units": 3,
    "initial_offset": 1.0,
    "input_feeding": False,
    "intermediate_dim": 7,
    "iterations": 2,
    "k": 2,
    "kernel_initializer": "zeros",
    "kernel_regularizer": "l2",
    "kernel_size": 3,
    "key_dim": 6,
    "lambda_init": 0.7,
    "latent_dim": 7,
    "layer_norm_epsilon": 0.5,
    "loss_weight": 0.5,
    "max_segments": 23,
    "merge": "sum",
    "min_width": 7,
    "mode_select": "low",
    "negative_slope": 0.5,
    "noise": 0.1,
    "normalize_first": True,
    "normalizer": "sigmoid",
    "num_buckets": 4,
    "num_features": 7,
    "num_filters": 2,
    "num_frequencies": 2,
    "num_heads": 1,
    "num_kernels": 3,
    "num_kv_heads": 1,
    "num_layers": 2,
    "num_landmarks": 2,
    "num_latents": 2,
    "num_modes": 2,
    "num_points": 2,
    "num_projections": 2,
    "num_queries": 2,
    "num_repeats": 3,
    "num_routers": 3,
    "num_slots": 2,
    "order": "luong",
    "output_shape": 7,
    "pool_size": 2,
    "position": "alibi",
    "radix": 2,
    "ratio": 5,
    "recurrence": 1,
    "regularization": 0.5,
    "residual": False,
    "return_state": True,
    "score": "cosine",
    "seed": (7, DROPS),
    "shift_size": 1,
    "slot_dim": 7,
    "sliding_window": 2,
    "talking_heads": True,
    "temperature": 0.2,
    "units": 7,
    "use_bias": False,
    "use_gate": True,
    "use_kernel": False,
    "use_query": False,
    "use_residual": False,
    "use_self_loops": False,
    "use_softmax": True,
    "value_dim": 7,
    "weight": 2.0,
    "window": 1,
    "window_size": 5,
}
# The same for one class, by the names of the class and of the argument.
ADDITIVE = {"score": "additive"}
OTHER_OF = {
    ("AttentionCell", "attention"): "luong_attention",
    ("AttentionCell", "cell"): lambda: keras.layers.LSTMCell(5),
    ("AttentionDecoder", "cell"): lambda: layers.AttentionCell(keras.layers.GRUCell(4)),
    ("Attention", "units"): (7, ADDITIVE),
    ("AttentionPooling", "score"): ("cosine", {"units": None}),
    ("BAM", "combine"): "product",
    ("ChannelAttention", "use_bias"): True,
    ("CopyGate", "extra_size"): 5,
    ("DoubleAttention", "ratio"): 1,
    ("DynamicConv", "kernel_size"): 5,
    ("Entmax", "num_heads"): 2,
    ("FourierAttention", "seed"): 7,
    ("FourierBlock", "mode_select"): ("random", {"num_modes": 2}),
    ("FourierBlock", "seed"): (7, {"mode_select": "random"}),
    ("FrequencyChannelAttention", "use_bias"): True,
    ("GatedFusion", "layer"): "attention",
    ("GumbelSoftmax", "seed"): 7,
    ("GraphAttention", "combine"): ("mean", {"num_heads": 3}),
    ("GraphAttentionV2", "combine"): ("mean", {"num_heads": 3}),
    ("HardAttention", "entropy_weight"): (0.5, {"estimator": "reinforce"}),
    ("HardAttention", "score"): ("general", {"units": None}),
    ("HardAttention", "seed"): (7, {"estimator": "gumbel"}),
    ("HierarchicalAttention", "sentence_encoder"): lambda: keras.layers.GRU(
        3, return_sequences=True
    ),
    ("EfficientMultiScaleAttention", "groups"): 3,
    ("EfficientMultiScaleAttention", "kernel_size"): 5,
    ("LargeKernelAttention", "kernel_size"): 9,
    ("NeighborhoodAttention", "kernel_size"): 5,
    ("LinformerAttention", "units"): (7, ADDITIVE),
    ("LocalAttention", "units"): (7, ADDITIVE),
    ("LuongAttention", "alignment"): "local_p",
    ("LuongAttention", "score"): "additive",
    ("LuongAttention", "units"): (7, ADDITIVE),
    ("LuongAttention", "window"): (1, {"alignment": "local_m"}),
    ("MonotonicAttention", "score"): ("general", {"units": None}),
    ("Parallel", "layers"): ["attention"],
    ("PerceiverAttention", "key_dim"): 4,
    ("PerformerAttention", "seed"): 7,
    ("ProbSparseAttention", "factor"): 2,
    ("RelativeBias", "max_distance"): (3, {"num_buckets": 8}),
    ("RotaryPosition", "factor"): (3.0, {"scaling": "linear"}),
    ("RotaryPosition", "original_length"): (64, {"scaling": "yarn", "factor": 4.0}),
    ("RotaryPosition", "scaling"): ("linear", {"factor": 4.0}),
    ("SelectiveKernel", "groups"): 11,
    ("SelectiveKernel", "ratio"): (1, {"min_width": 1}),
    ("SelfAttention", "units"): (7, ADDITIVE),
    ("Serial", "layers"): ["attention"],
    ("SinkSoftmax", "num_heads"): 2,
    ("SlotAttention", "iterations"): 3,
    ("SlotAttention", "seed"): 7,
    ("SplitAttention", "kernel_size"): 5,
    ("SplitAttention", "ratio"): (2, {"min_width": 1}),
}
# Parts of an attention, inside one: arguments that make them, and their place.
PARTS = {
    "AdditiveScore": ({"units": 5}, "score"),
    "ConcatScore": ({"units": 5}, "score"),
    "NormedAdditiveScore": ({"units": 5}, "score"),
    "NormalizedDotScore": ({}, "score"),
    "SoftCapScore": ({}, "score"),
    "LocationScore": ({"max_length": 13}, "score"),
    "Entmax": ({}, "normalizer"),
    "GumbelSoftmax": ({}, "normalizer"),
    "SinkSoftmax": ({}, "normalizer"),
    "TopK": ({"k": 1}, "normalizer"),
    "RotaryPosition": ({}, "position"),
    "RelativeBias": ({}, "position"),
}


def arguments_of(cls):
    """Returns the names of the arguments that a class lists."""
    found = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = [p.name for p in found if p.kind is not p.VAR_KEYWORD]
    return [name for name in named if name not in KERAS_ARGUMENTS]


def public_layers():
    """Returns the classes that a user can make, abstract bases left out."""
    found = (getattr(layers, name) for name in layers.__all__)
    return [
        cls
        for cls in found
        if isinstance(cls, type)
        and issubclass(cls, keras.layers.Layer)
        and ">" in keras.saving.get_registered_name(cls)
    ]


CLASSES = public_layers()
CASES = {case.cls: case for case in reversed(all_cases())}
PAIRS = [(cls, name) for cls in CLASSES for name in arguments_of(cls)]


def reload(layer):
    """Returns the layer as a saved file has it: its config through JSON."""
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    return keras.saving.deserialize_keras_object(saved)


def outcome(layer, inputs, call):
    """Returns what can be seen of a layer in training: outputs, losses, weights."""
    keras.utils.set_random_seed(3)
    layer(**symbolic(inputs), **call)
    shake(layer)
    takes = layer.call_signature_parameters
    options = {"training": True} if "training" in takes else {}
    output = keras.tree.flatten(layer(**inputs, **call, **options))
    shapes = [tuple(w.shape) for w in layer.weights]
    return shapes, [to_numpy(x) for x in (*output, *layer.losses)]


def differ(one, other):
    (shapes, values), (other_shapes, other_values) = one, other
    if shapes != other_shapes or len(values) != len(other_values):
        return True
    pairs = zip(values, other_values, strict=True)
    return any(a.shape != b.shape or np.abs(a - b).max() > 1e-6 for a, b in pairs)


def subject(cls, change):
    """Returns a layer of the class with changed arguments, its inputs and its call."""
    if cls is layers.FeedForward:
        config, inputs, call = {"intermediate_dim": 13}, {"inputs": (2, 7, 5)}, {}
    elif cls is layers.DeStationaryFactors:
        config, inputs, call = {"hidden_units": 13}, {"inputs": (2, 7, 5)}, {}
    elif cls.__name__ in PARTS:
        (config, place), call = PARTS[cls.__name__], {}
        inputs = {"query": (2, 7, 5), "value": (2, 3, 5)}
        part = reload(cls(**{**config, **change}))
        more = {"name": "layer", place: part}
        if place != "score":
            return layers.MultiHeadAttention(2, 4, **more), _draw(inputs), call
        return layers.Attention(**more), _draw(inputs), call
    elif cls is layers.AttentionCell:
        inputs, call = {"query": (2, 7, 5), "value": (2, 3, 4)}, {}
        given = {"cell": keras.layers.GRUCell(5), "attention_units": 6, **change}
        cell = reload(cls(**given))
        return layers.AttentionDecoder(cell, name="layer"), _draw(inputs), call
    else:
        case = CASES[cls]
        config, inputs, call = case.config, None, case.call
    layer = reload(cls(**{"name": "layer", **config, **change}))
    return layer, CASES[cls].draw() if inputs is None else _draw(inputs), call


def _draw(shapes):
    rng = np.random.default_rng(0)
    return {n: rng.normal(size=s).astype("float32") for n, s in shapes.items()}


@functools.cache
def plain_outcome(cls, extra):
    return outcome(*subject(cls, json.loads(extra)))


@pytest.mark.parametrize(
    ("cls", "name"), PAIRS, ids=lambda x: x if isinstance(x, str) else x.__name__
)
def test_an_argument_is_saved_and_acts(cls, name):
    other = OTHER_OF.get((cls.__name__, name), OTHER.get(name))
    if {name, f"{cls.__name__}.{name}"} & set(UNSEEN):
        given = {name: WHERE_GIVEN[name]} if name in WHERE_GIVEN else {}
        layer = subject(cls, given)[0]
        assert cls.__name__ in PARTS or name in layer.get_config()
        return
    assert other is not None, f"give `{name}` another value in OTHER"
    value, extra = (
        other if isinstance(other, tuple) and len(other) == 2 else (other, {})
    )
    value = value() if isinstance(value, type(lambda: 0)) else value
    plain = plain_outcome(cls, json.dumps(extra))
    changed = subject(cls, {**extra, name: value})
    if type(changed[0]) is cls:
        assert name in changed[0].get_config(), f"`{name}` is not saved"
    assert differ(plain, outcome(*changed)), f"`{name}` changes nothing"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_argument_of_another_class_is_refused(cls):
    own = set(arguments_of(cls)) | set(KERAS_ARGUMENTS)
    own |= set(getattr(cls, "weight_arguments", ()))
    config = PARTS.get(cls.__name__, ({"intermediate_dim": 3},))[0]
    config = CASES[cls].config if cls in CASES else config
    config = {name: value for name, value in config.items() if name in own}
    bases = [base for base in cls.__mro__ if "attention_zoo" in base.__module__]
    foreign = {name for base in (*bases, *CLASSES) for name in arguments_of(base)} - own
    if cls is layers.AttentionCell:
        config = {"cell": keras.layers.GRUCell(3)}
    for name in sorted({*foreign, "kwargs"}):
        with pytest.raises(ValueError, match=f"Unknown arguments.*{name}="):
            cls(**{**config, name: 1})
    for name in sorted(own - {*KERAS_ARGUMENTS, *WEIGHT_ARGUMENTS})[:1]:
        with pytest.raises(ValueError, match=f"did you mean .*'{name}'"):
            cls(**{**config, f"{name}x": 1})
