"""Attention over images, feature maps and videos.

Inputs are `(B, H, W, C)`, or `(B, C, H, W)` with `data_format="channels_first"`; most
layers take `(B, T, C)` and `(B, D, H, W, C)` too. Letters: B batch, H height, W width,
C channels, N = H * W positions.

Each docstring states the cost at 64 channels on a 32 x 32 map: trainable parameters,
and FLOPs for one map. FLOPs are two for each multiply-add of a convolution, a dense
layer or a matrix product; pooling and element-wise work are not counted.
"""

from attention_zoo.layers.vision.axial_attention import AxialAttention
from attention_zoo.layers.vision.bam import BAM
from attention_zoo.layers.vision.cbam import CBAM
from attention_zoo.layers.vision.channel_attention import ChannelAttention
from attention_zoo.layers.vision.concurrent_squeeze_excite import (
    ConcurrentSqueezeExcite,
)
from attention_zoo.layers.vision.coordinate_attention import CoordinateAttention
from attention_zoo.layers.vision.criss_cross import CrissCross
from attention_zoo.layers.vision.cross_covariance_attention import (
    CrossCovarianceAttention,
)
from attention_zoo.layers.vision.divided_space_time_attention import (
    DividedSpaceTimeAttention,
)
from attention_zoo.layers.vision.double_attention import DoubleAttention
from attention_zoo.layers.vision.dual_attention import DualAttention
from attention_zoo.layers.vision.dynamic_conv import DynamicConv
from attention_zoo.layers.vision.efficient_channel_attention import (
    EfficientChannelAttention,
)
from attention_zoo.layers.vision.efficient_multi_scale_attention import (
    EfficientMultiScaleAttention,
)
from attention_zoo.layers.vision.frequency_channel_attention import (
    FrequencyChannelAttention,
)
from attention_zoo.layers.vision.gather_excite import GatherExcite
from attention_zoo.layers.vision.global_context import GlobalContext
from attention_zoo.layers.vision.large_kernel_attention import LargeKernelAttention
from attention_zoo.layers.vision.neighborhood_attention import NeighborhoodAttention
from attention_zoo.layers.vision.non_local import NonLocal
from attention_zoo.layers.vision.parallel_polarized_attention import (
    ParallelPolarizedAttention,
)
from attention_zoo.layers.vision.pixel_attention import PixelAttention
from attention_zoo.layers.vision.selective_kernel import SelectiveKernel
from attention_zoo.layers.vision.separable_self_attention import (
    SeparableSelfAttention,
)
from attention_zoo.layers.vision.shuffle_attention import ShuffleAttention
from attention_zoo.layers.vision.simam import SimAM
from attention_zoo.layers.vision.spatial_attention import SpatialAttention
from attention_zoo.layers.vision.split_attention import SplitAttention
from attention_zoo.layers.vision.squeeze_excite import SqueezeExcite
from attention_zoo.layers.vision.style_recalibration import StyleRecalibration
from attention_zoo.layers.vision.temporal_attention import TemporalAttention
from attention_zoo.layers.vision.triplet_attention import TripletAttention
from attention_zoo.layers.vision.window_attention import WindowAttention

__all__ = [
    "AxialAttention",
    "BAM",
    "CBAM",
    "ChannelAttention",
    "ConcurrentSqueezeExcite",
    "CoordinateAttention",
    "CrissCross",
    "CrossCovarianceAttention",
    "DividedSpaceTimeAttention",
    "DoubleAttention",
    "DualAttention",
    "DynamicConv",
    "EfficientChannelAttention",
    "EfficientMultiScaleAttention",
    "FrequencyChannelAttention",
    "GatherExcite",
    "GlobalContext",
    "LargeKernelAttention",
    "NeighborhoodAttention",
    "NonLocal",
    "ParallelPolarizedAttention",
    "PixelAttention",
    "SelectiveKernel",
    "SeparableSelfAttention",
    "ShuffleAttention",
    "SimAM",
    "SpatialAttention",
    "SplitAttention",
    "SqueezeExcite",
    "StyleRecalibration",
    "TemporalAttention",
    "TripletAttention",
    "WindowAttention",
]
