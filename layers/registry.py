"""Attention layers by name: what a model or a recipe takes as its `attention`."""

import fnmatch
import inspect

import keras

from attention_zoo.layers.composite.containers import Gated, Parallel, Serial
from attention_zoo.layers.core.validation import suggest
from attention_zoo.layers.efficient.linear import LinearAttention
from attention_zoo.layers.efficient.linformer import LinformerAttention
from attention_zoo.layers.efficient.local import LocalAttention
from attention_zoo.layers.efficient.nystrom import NystromAttention
from attention_zoo.layers.efficient.performer import PerformerAttention
from attention_zoo.layers.pooling.attention_pooling import AttentionPooling
from attention_zoo.layers.pooling.gated import GatedAttention
from attention_zoo.layers.pooling.hierarchical import HierarchicalAttention
from attention_zoo.layers.pooling.multi_head_pooling import MultiHeadAttentionPooling
from attention_zoo.layers.recurrent.coverage import CoverageAttention
from attention_zoo.layers.recurrent.location_aware import LocationAwareAttention
from attention_zoo.layers.recurrent.monotonic import MonotonicAttention
from attention_zoo.layers.sequence.adaptive import AdaptiveAttention
from attention_zoo.layers.sequence.attention import Attention
from attention_zoo.layers.sequence.bahdanau import BahdanauAttention
from attention_zoo.layers.sequence.differential import DifferentialAttention
from attention_zoo.layers.sequence.external import ExternalAttention
from attention_zoo.layers.sequence.hard import HardAttention
from attention_zoo.layers.sequence.luong import LuongAttention
from attention_zoo.layers.sequence.multi_head import MultiHeadAttention
from attention_zoo.layers.sequence.self_attention import SelfAttention
from attention_zoo.layers.sequence.synthesizer import (
    DenseSynthesizer,
    RandomSynthesizer,
)
from attention_zoo.layers.series.auto_correlation import AutoCorrelation
from attention_zoo.layers.series.de_stationary import DeStationaryAttention
from attention_zoo.layers.series.fourier_attention import FourierAttention
from attention_zoo.layers.series.fourier_block import FourierBlock
from attention_zoo.layers.series.prob_sparse import ProbSparseAttention
from attention_zoo.layers.series.temporal_pattern import TemporalPatternAttention
from attention_zoo.layers.series.two_stage import TwoStageAttention
from attention_zoo.layers.vision.axial_attention import AxialAttention
from attention_zoo.layers.vision.bam import BAM
from attention_zoo.layers.vision.cbam import CBAM
from attention_zoo.layers.vision.channel_attention import ChannelAttention
from attention_zoo.layers.vision.concurrent_squeeze_excite import (
    ConcurrentSqueezeExcite,
)
from attention_zoo.layers.vision.coordinate_attention import CoordinateAttention
from attention_zoo.layers.vision.criss_cross import CrissCross
from attention_zoo.layers.vision.divided_space_time_attention import (
    DividedSpaceTimeAttention,
)
from attention_zoo.layers.vision.double_attention import DoubleAttention
from attention_zoo.layers.vision.dual_attention import DualAttention
from attention_zoo.layers.vision.dynamic_conv import DynamicConv
from attention_zoo.layers.vision.efficient_channel_attention import (
    EfficientChannelAttention,
)
from attention_zoo.layers.vision.frequency_channel_attention import (
    FrequencyChannelAttention,
)
from attention_zoo.layers.vision.gather_excite import GatherExcite
from attention_zoo.layers.vision.global_context import GlobalContext
from attention_zoo.layers.vision.large_kernel_attention import LargeKernelAttention
from attention_zoo.layers.vision.non_local import NonLocal
from attention_zoo.layers.vision.parallel_polarized_attention import (
    ParallelPolarizedAttention,
)
from attention_zoo.layers.vision.pixel_attention import PixelAttention
from attention_zoo.layers.vision.selective_kernel import SelectiveKernel
from attention_zoo.layers.vision.shuffle_attention import ShuffleAttention
from attention_zoo.layers.vision.simam import SimAM
from attention_zoo.layers.vision.spatial_attention import SpatialAttention
from attention_zoo.layers.vision.split_attention import SplitAttention
from attention_zoo.layers.vision.squeeze_excite import SqueezeExcite
from attention_zoo.layers.vision.style_recalibration import StyleRecalibration
from attention_zoo.layers.vision.temporal_attention import TemporalAttention
from attention_zoo.layers.vision.triplet_attention import TripletAttention
from attention_zoo.layers.vision.window_attention import WindowAttention

# Families say how a layer is called. B batch, T time, D width.
#   sequence  layer(query, value): (B, Tq, Dq), (B, Tv, Dv) -> (B, Tq, Dv)
#   linear    as sequence, at a cost linear in time
#   self      layer(inputs): (B, T, D) -> (B, T, D)
#   pooling   layer(inputs): (B, T, D) -> (B, D)
#   series    layer(inputs): (B, T, D) -> (B, T, D), for time series; but
#             temporal_pattern_attention -> (B, D), and two_stage_attention
#             (B, V, S, D) -> (B, V, S, D), V variates of S segments
#   hierarchical
#             layer(inputs): (B, S, T, D) -> (B, D)
#   channel, spatial, hybrid, branch
#             layer(inputs): (B, H, W, C) -> (B, H, W, C)
#   temporal  layer(inputs): (B, T, H, W, C) -> (B, T, H, W, C)
#   composite as the layers inside, which are its required argument: layer(inputs), or
#             layer(query, value) where one of them takes a value
FAMILIES: dict[str, dict[str, type]] = {
    "sequence": {
        "differential_attention": DifferentialAttention,
        "adaptive_attention": AdaptiveAttention,
        "multi_head_attention": MultiHeadAttention,
        "attention": Attention,
        "bahdanau_attention": BahdanauAttention,
        "luong_attention": LuongAttention,
        "hard_attention": HardAttention,
        "monotonic_attention": MonotonicAttention,
        "location_aware_attention": LocationAwareAttention,
        "coverage_attention": CoverageAttention,
    },
    "self": {
        "self_attention": SelfAttention,
        "dense_synthesizer": DenseSynthesizer,
        "random_synthesizer": RandomSynthesizer,
        "external_attention": ExternalAttention,
    },
    "linear": {
        "linear_attention": LinearAttention,
        "performer_attention": PerformerAttention,
        "linformer_attention": LinformerAttention,
        "local_attention": LocalAttention,
        "nystrom_attention": NystromAttention,
    },
    "pooling": {
        "multi_head_attention_pooling": MultiHeadAttentionPooling,
        "gated_attention": GatedAttention,
        "attention_pooling": AttentionPooling,
    },
    "series": {
        "auto_correlation": AutoCorrelation,
        "de_stationary_attention": DeStationaryAttention,
        "fourier_attention": FourierAttention,
        "fourier_block": FourierBlock,
        "prob_sparse_attention": ProbSparseAttention,
        "temporal_pattern_attention": TemporalPatternAttention,
        "two_stage_attention": TwoStageAttention,
    },
    "hierarchical": {
        "hierarchical_attention": HierarchicalAttention,
    },
    "channel": {
        "channel_attention": ChannelAttention,
        "efficient_channel_attention": EfficientChannelAttention,
        "frequency_channel_attention": FrequencyChannelAttention,
        "gather_excite": GatherExcite,
        "global_context": GlobalContext,
        "squeeze_excite": SqueezeExcite,
        "style_recalibration": StyleRecalibration,
    },
    "spatial": {
        "axial_attention": AxialAttention,
        "criss_cross": CrissCross,
        "double_attention": DoubleAttention,
        "large_kernel_attention": LargeKernelAttention,
        "non_local": NonLocal,
        "pixel_attention": PixelAttention,
        "spatial_attention": SpatialAttention,
        "window_attention": WindowAttention,
    },
    "hybrid": {
        "bam": BAM,
        "cbam": CBAM,
        "concurrent_squeeze_excite": ConcurrentSqueezeExcite,
        "coordinate_attention": CoordinateAttention,
        "dual_attention": DualAttention,
        "parallel_polarized_attention": ParallelPolarizedAttention,
        "shuffle_attention": ShuffleAttention,
        "simam": SimAM,
        "triplet_attention": TripletAttention,
    },
    "branch": {
        "dynamic_conv": DynamicConv,
        "selective_kernel": SelectiveKernel,
        "split_attention": SplitAttention,
    },
    "temporal": {
        "divided_space_time_attention": DividedSpaceTimeAttention,
        "temporal_attention": TemporalAttention,
    },
    "composite": {
        "gated": Gated,
        "parallel": Parallel,
        "serial": Serial,
    },
}

# Values for arguments that a class requires and a caller by name may leave out.
DEFAULTS = {
    CoverageAttention: {"units": 64},
    LocationAwareAttention: {"units": 64},
    MultiHeadAttention: {"num_heads": 4, "key_dim": 16},
    MultiHeadAttentionPooling: {"num_heads": 4, "key_dim": 16},
    BahdanauAttention: {"units": 64},
    DenseSynthesizer: {"max_length": 512},
    LinformerAttention: {"max_length": 512},
    RandomSynthesizer: {"max_length": 512},
    TemporalPatternAttention: {"window": 64},
}


def list_attentions(pattern="*", family=None):
    """Returns the sorted names of the attention layers that `create_attention` makes.

    Args:
        pattern: Shell-style wildcard, as in `"*pool*"`. Defaults to `"*"`.
        family: One of the families of `get_family`. Defaults to `None`: all.

    Raises:
        ValueError: for an unknown family.
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(
            f"Unknown family of attentions. Expected one of {list(FAMILIES)}. "
            f"Received: family={family!r}{suggest(family, FAMILIES)}"
        )
    chosen = FAMILIES if family is None else {family: FAMILIES[family]}
    names = [name for members in chosen.values() for name in members]
    return sorted(fnmatch.filter(names, pattern))


def get_family(name):
    """Returns the family of the attention called `name`, which says how to call it.

    `"sequence"`: `layer(query, value)`; `"self"`: `layer(inputs)` of unchanged shape;
    `"series"`: as `"self"`, for time series, with exceptions that the classes tell;
    `"pooling"`: `layer(inputs)` to one vector a row; `"channel"`, `"spatial"`,
    `"hybrid"`, `"branch"`: `layer(inputs)` on a map, and `"temporal"` on a video, of
    unchanged shape. `"composite"` is called as the layers that it is made of.

    Raises:
        ValueError: for an unknown name, with the near ones.
    """
    for family, members in FAMILIES.items():
        if name in members:
            return family
    names = list_attentions()
    raise ValueError(
        f"Unknown attention. Expected one of {names}. "
        f"Received: name={name!r}{suggest(name, names)}"
    )


def create_attention(name, **config):
    """Returns the attention layer called `name`.

    Args:
        name: One of `list_attentions()`.
        **config: Arguments of its class.

    Raises:
        ValueError: for an unknown name or argument, with the near ones, and for an
            argument that is missing.
    """
    cls = attention_class(name)
    arguments = {**DEFAULTS.get(cls, {}), **config}
    try:
        return cls(**arguments)
    except (TypeError, ValueError):  # of Python or of Keras, for an unknown argument
        _check_arguments(name, cls, arguments)
        raise


def _check_arguments(name, cls, arguments):
    """Raises `ValueError` for arguments that `cls` does not have, or lacks here."""
    own, defaults = _parameters(cls.__init__), DEFAULTS.get(cls, {})
    required = [n for n, p in own.items() if p.default is p.empty]
    missing = [n for n in required if n not in arguments]
    if missing:
        raise ValueError(
            f"The attention '{name}' lacks arguments. Expected {missing} as well. "
            f"Received: {arguments}"
        ) from None
    if set(required) <= set(defaults):
        own = cls(**defaults).get_config()  # has those of its bases that it takes
    base = _parameters(keras.layers.Layer.__init__)
    known = sorted({*own, "dtype", "trainable"} - {"name"})
    unknown = [n for n in arguments if n not in known and n not in base]
    if unknown:
        received = (f"{n}={arguments[n]!r}{suggest(n, known)}" for n in unknown)
        raise ValueError(
            f"Unknown arguments of the attention '{name}'. Expected some of {known}. "
            f"Received: {', '.join(received)}"
        ) from None


def _parameters(function):
    """Returns the named parameters of a method."""
    found = list(inspect.signature(function).parameters.values())[1:]
    return {p.name: p for p in found if p.kind is not p.VAR_KEYWORD}


def attention_class(name) -> type[keras.layers.Layer]:
    """Returns the class behind `name`."""
    return FAMILIES[get_family(name)][name]
