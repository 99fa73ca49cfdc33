"""Layers of the factory drawn at random, with arguments, inputs and masks.

`problems()` is a strategy of `Drawn` layers; `random_checks.py` says what must hold.
"""

import dataclasses
import inspect

import hypothesis
import keras
import numpy as np
from hypothesis import strategies as st

from attention_zoo import layers
from attention_zoo.layers.core.normalizers import NORMALIZERS
from attention_zoo.layers.registry import DEFAULTS, attention_class

BACKEND = keras.config.backend()
NAMES = layers.list_attentions()
PAIRS = ("sequence", "linear", "matching")  # called on a query and a value
MAPS = ("channel", "spatial", "hybrid", "branch")
# JAX compiles anew for every shape.
SIZES = (1, 5) if BACKEND == "jax" else (1, 2, 3, 5, 7, 11)
SCORES = ("dot", "scaled_dot", "cosine", "general", "additive", "concat")
GARBAGE = (np.nan, np.inf, 6e4)
# What accepted arguments may be; a layer may refuse some of them, in one line.
VALUES = {
    "activation": ("relu", "gelu", "tanh"),
    "alignment": ("global", "local_m", "local_p"),
    "attention_units": (None, 3),
    "bias_initializer": ("zeros", "ones"),
    "block_size": (None, 1, 2, 5),
    "branches": (2, 3),
    "chunk_size": (1, 3, 64),
    "combine": ("sum", "max", "product", "concat", "mean"),
    "data_format": ("channels_last", "channels_first"),
    "dilation_rate": (1, 2),
    "dropout": (0.0, 0.5),
    "entropy_weight": (0.0, 0.5),
    "epsilon": (1e-8, 0.5),
    "estimator": ("straight_through", "gumbel", "reinforce"),
    "extent": (2, 8),
    "factor": (1, 3),
    "filters": (None, 6, 16),
    "gate_activation": ("sigmoid", "tanh"),
    "groups": (1, 2, 4),
    "hard_inference": (True, False),
    "hidden_units": (3, 8),
    "intermediate_dim": (None, 7),
    "iterations": (1, 2, 3),
    "kernel_initializer": ("glorot_uniform", "he_normal"),
    "kernel_regularizer": (None, "l2"),
    "kernel_size": (3, 5, 7),
    "key_dim": (1, 3, 4),
    "lambda_init": (0.2, 0.7),
    "latent_dim": (None, 7),
    "layer": ("self_attention", "squeeze_excite"),
    "layer_norm_epsilon": (1e-6, 0.1),
    "layers": (["attention"], ["attention", "self_attention"], ["spatial_attention"]),
    "loss_weight": (0.0, 1.0),
    "max_length": (11, 23),
    "max_segments": (None, 23),
    "merge": ("sum", "mean", "max", "concat", "gated"),
    "min_width": (1, 8),
    "mode_select": ("random", "low"),
    "negative_slope": (0.0, 0.2),
    "noise": (0.0, 1.0),
    "normalizer": tuple(sorted(NORMALIZERS)),
    "num_features": (7, 32),
    "num_filters": (2, 8),
    "num_frequencies": (1, 2, 16),
    "num_heads": (1, 2, 4),
    "num_kernels": (1, 3),
    "num_kv_heads": (None, 1, 2),
    "num_landmarks": (1, 2, 32),
    "num_latents": (1, 3),
    "num_layers": (1, 2),
    "num_modes": (1, 2, 32),
    "num_points": (1, 3),
    "num_projections": (1, 5),
    "num_queries": (1, 3),
    "num_repeats": (1, 2),
    "num_routers": (1, 3),
    "num_slots": (1, 3),
    "output_shape": (None, 7),
    "pool_size": (1, 2),
    "position": (None, "alibi", "rotary", "relative_bias"),
    "radix": (1, 2),
    "ratio": (1, 2, 4),
    "recurrence": (1, 2),
    "residual": (False, True),
    "score": SCORES,
    "seed": (None, 7),
    "shift_size": (0, 1),
    "sliding_window": (None, 2),
    "slot_dim": (None, 7),
    "talking_heads": (False, True),
    "temperature": (0.5, 30.0),
    "units": (3, 4),
    "use_bias": (True, False),
    "use_gate": (False, True),
    "use_kernel": (True, False),
    "use_residual": (True, False),
    "use_self_loops": (True, False),
    "use_softmax": (False, True),
    "value_dim": (None, 3),
    "window": (1, 2, 5, (0, 2), (2, 1)),
    "window_size": (1, 2, 7),
}


@dataclasses.dataclass
class Drawn:
    """One layer with its inputs.

    Attributes:
        name: Its name in the factory.
        config: Its arguments.
        inputs: Dict of arrays in call order; those of integers are no features.
        masks: Dict of padding masks, boolean arrays.
        options: Dict of further call arguments.
        garbage: What padding holds.
        seed: Of what a check draws beside.
    """

    name: str
    config: dict
    inputs: dict
    masks: dict
    options: dict
    garbage: float
    seed: int

    @property
    def family(self):
        return layers.get_family(self.name)

    @property
    def first(self):
        """Name of the first input."""
        return next(iter(self.inputs))

    @property
    def low(self):
        """Whether the layer computes in low precision."""
        return self.config["dtype"] != "float32"

    def input_of(self, mask):
        """Returns the name of the input that a mask belongs to."""
        return self.first if mask == "mask" else mask.removesuffix("_mask")

    def make(self):
        keras.utils.set_random_seed(0)
        return layers.create_attention(self.name, **self.config)


@st.composite
def problems(draw, names=tuple(NAMES)):
    name = draw(st.sampled_from(names))
    config = draw(configs(name))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    inputs = draw_inputs(draw, name, config, rng)
    options = {}
    if "training" in inspect.signature(attention_class(name).call).parameters:
        options["training"] = False
    taken = attention_class(name).call_options
    paired = name not in MAPS and "value" in inputs
    if "use_causal_mask" in taken and draw(st.integers(0, 3)) == 0:
        options["use_causal_mask"] = True
    elif "attention_mask" in taken and paired and draw(st.integers(0, 3)) == 0:
        query, value = inputs["query"], inputs["value"]
        shape = (*query.shape[:2], value.shape[1])
        options["attention_mask"] = rng.random(shape) < 0.6
    problem = Drawn(
        name, config, inputs, {}, options,
        draw(st.sampled_from(GARBAGE)), draw(st.integers(0, 999)),
    )  # fmt: skip
    for mask in masks_of(problem):
        if draw(st.booleans()):
            x = inputs[problem.input_of(mask)]
            share = draw(st.sampled_from([0.0, 0.5, 0.8]))
            leading = x.shape[: mask_axes(problem)]
            problem.masks[mask] = rng.random(leading) < share
    return problem


@st.composite
def configs(draw, name):
    """Draws arguments of a layer: those that it requires, and up to three others."""
    cls = attention_class(name)
    listed = list(inspect.signature(cls.__init__).parameters.values())[1:]
    config = dict(DEFAULTS.get(name, {}))
    required = [p.name for p in listed if p.default is p.empty and p.name in VALUES]
    others = [p.name for p in listed if p.default is not p.empty and p.name in VALUES]
    chosen = draw(st.lists(st.sampled_from(others), max_size=3)) if others else []
    always = {"ratio", "num_heads", "key_dim", "num_features"}
    always &= {p.name for p in listed}
    for argument in sorted({*required, *chosen, *always}):
        value = draw(st.sampled_from(VALUES[argument]))
        if type(value) is int and draw(st.integers(0, 7)) == 0:
            value = np.int64(value)
        config[argument] = value
    dtypes = ("float32", "float32", "float32", "mixed_float16", "bfloat16")
    config["dtype"] = draw(st.sampled_from(dtypes))
    hypothesis.event(config["dtype"])
    return config


def draw_inputs(draw, name, config, rng):
    """Returns inputs of the shapes that a layer of the name takes."""

    def size():
        return draw(st.sampled_from(SIZES))

    def normal(*shape):
        return rng.normal(size=shape).astype("float32")

    family, cls = layers.get_family(name), attention_class(name)
    batch = draw(st.sampled_from((2,) if BACKEND == "jax" else (1, 2, 3)))
    width = draw(st.sampled_from((4, 8) if BACKEND == "jax" else (1, 3, 4, 8)))
    if family == "composite":
        members = config.get("layers", [config.get("layer")])
        family = layers.get_family(members[0])
        if family in MAPS:
            return {"query": normal(batch, size(), size(), width)}
    if family in MAPS:
        width = draw(st.sampled_from((8, 16)))
        rank = draw(st.sampled_from(cls.ranks if hasattr(cls, "ranks") else (2,)))
        sizes = [size() for _ in range(rank)]
        return {"inputs": in_format(normal(batch, *sizes, width), config)}
    if family == "temporal":
        sizes = [size(), min(size(), 3), min(size(), 3)]
        return {"inputs": in_format(normal(batch, *sizes, 8), config)}
    if family == "graph":
        nodes, edges = size(), size()
        edges = rng.integers(0, nodes, (edges, 2)).astype("int32")
        return {"inputs": normal(nodes, width), "edges": edges}
    if name == "target_attention":
        return {"query": normal(batch, width), "value": normal(batch, size(), width)}
    if name in ("two_stage_attention", "hierarchical_attention"):
        return {"inputs": normal(batch, size(), size(), width)}
    if family in PAIRS or "value" in cls.call_inputs and draw(st.booleans()):
        rows, length = size(), size()
        inputs = {"query": normal(batch, rows, width)}
        if draw(st.integers(0, 4)) == 0:
            width = draw(st.sampled_from((4, 8)))
        inputs["value"] = normal(batch, length, width)
        if draw(st.integers(0, 3)) == 0:
            inputs["key"] = normal(batch, length, width)
        return inputs
    return {cls.call_inputs[0]: normal(batch, size(), width)}


def in_format(x, config):
    """Returns a map in the data format of a config."""
    first = config.get("data_format") == "channels_first"
    return np.moveaxis(x, -1, 1) if first else x


def mask_axes(problem):
    """Returns how many axes a padding mask of the problem has."""
    if problem.family == "graph":
        return 1
    four = ("two_stage_attention", "hierarchical_attention")
    return 3 if problem.name in four else 2


def masks_of(problem):
    """Returns the names of the padding masks that fit the inputs of a problem."""
    taken = list(attention_class(problem.name).call_masks)
    if problem.family == "composite":
        if problem.inputs["query"].ndim > 3:
            return []
        pair = "value" in problem.inputs
        taken = ["query_mask", "value_mask"] if pair else ["mask"]
    channels_first = problem.config.get("data_format") == "channels_first"
    if problem.family == "temporal" and channels_first:
        return []
    if "value" not in problem.inputs:
        taken = [m for m in taken if m not in ("value_mask", "key_mask")]
    return [m for m in taken if problem.input_of(m) in problem.inputs]
