"""Attention layers for Keras 3, a mechanism a file: TensorFlow, JAX and PyTorch."""

if __name__ != "attention_zoo.layers":
    raise ImportError(
        f"This package was imported as '{__name__}', which would register every layer "
        "twice. Import 'attention_zoo.layers'."
    )

from attention_zoo.layers.composite.containers import Gated as Gated
from attention_zoo.layers.composite.containers import Parallel as Parallel
from attention_zoo.layers.composite.containers import Serial as Serial
from attention_zoo.layers.core.normalizers import Entmax as Entmax
from attention_zoo.layers.core.normalizers import Entmax15 as Entmax15
from attention_zoo.layers.core.normalizers import GumbelSoftmax as GumbelSoftmax
from attention_zoo.layers.core.normalizers import Hardmax as Hardmax
from attention_zoo.layers.core.normalizers import Normalizer as Normalizer
from attention_zoo.layers.core.normalizers import Sigmoid as Sigmoid
from attention_zoo.layers.core.normalizers import Softmax as Softmax
from attention_zoo.layers.core.normalizers import Sparsemax as Sparsemax
from attention_zoo.layers.core.normalizers import TopK as TopK
from attention_zoo.layers.core.positions import AlibiBias as AlibiBias
from attention_zoo.layers.core.positions import Position as Position
from attention_zoo.layers.core.positions import RelativeBias as RelativeBias
from attention_zoo.layers.core.positions import RotaryPosition as RotaryPosition
from attention_zoo.layers.core.recording import AttentionRecord as AttentionRecord
from attention_zoo.layers.core.recording import record_attention as record_attention
from attention_zoo.layers.core.scores import AdditiveScore as AdditiveScore
from attention_zoo.layers.core.scores import ConcatScore as ConcatScore
from attention_zoo.layers.core.scores import CosineScore as CosineScore
from attention_zoo.layers.core.scores import DotScore as DotScore
from attention_zoo.layers.core.scores import GeneralScore as GeneralScore
from attention_zoo.layers.core.scores import LocationScore as LocationScore
from attention_zoo.layers.core.scores import ScaledDotScore as ScaledDotScore
from attention_zoo.layers.core.scores import Score as Score
from attention_zoo.layers.efficient.linear import LinearAttention as LinearAttention
from attention_zoo.layers.efficient.linformer import (
    LinformerAttention as LinformerAttention,
)
from attention_zoo.layers.efficient.local import LocalAttention as LocalAttention
from attention_zoo.layers.efficient.nystrom import NystromAttention as NystromAttention
from attention_zoo.layers.efficient.performer import (
    PerformerAttention as PerformerAttention,
)
from attention_zoo.layers.pooling.attention_pooling import (
    AttentionPooling as AttentionPooling,
)
from attention_zoo.layers.pooling.gated import GatedAttention as GatedAttention
from attention_zoo.layers.pooling.hierarchical import (
    HierarchicalAttention as HierarchicalAttention,
)
from attention_zoo.layers.pooling.multi_head_pooling import (
    MultiHeadAttentionPooling as MultiHeadAttentionPooling,
)
from attention_zoo.layers.recurrent.attention_cell import AttentionCell as AttentionCell
from attention_zoo.layers.recurrent.coverage import (
    CoverageAttention as CoverageAttention,
)
from attention_zoo.layers.recurrent.decoder import AttentionDecoder as AttentionDecoder
from attention_zoo.layers.recurrent.location_aware import (
    LocationAwareAttention as LocationAwareAttention,
)
from attention_zoo.layers.recurrent.monotonic import (
    MonotonicAttention as MonotonicAttention,
)
from attention_zoo.layers.recurrent.monotonic import (
    NormedAdditiveScore as NormedAdditiveScore,
)
from attention_zoo.layers.recurrent.stepwise import (
    StepwiseAttention as StepwiseAttention,
)
from attention_zoo.layers.registry import create_attention as create_attention
from attention_zoo.layers.registry import get_family as get_family
from attention_zoo.layers.registry import list_attentions as list_attentions
from attention_zoo.layers.sequence.adaptive import (
    AdaptiveAttention as AdaptiveAttention,
)
from attention_zoo.layers.sequence.attention import Attention as Attention
from attention_zoo.layers.sequence.bahdanau import (
    BahdanauAttention as BahdanauAttention,
)
from attention_zoo.layers.sequence.differential import (
    DifferentialAttention as DifferentialAttention,
)
from attention_zoo.layers.sequence.external import (
    ExternalAttention as ExternalAttention,
)
from attention_zoo.layers.sequence.hard import HardAttention as HardAttention
from attention_zoo.layers.sequence.hard import ReinforceLoss as ReinforceLoss
from attention_zoo.layers.sequence.luong import LuongAttention as LuongAttention
from attention_zoo.layers.sequence.multi_head import (
    MultiHeadAttention as MultiHeadAttention,
)
from attention_zoo.layers.sequence.self_attention import SelfAttention as SelfAttention
from attention_zoo.layers.sequence.synthesizer import (
    DenseSynthesizer as DenseSynthesizer,
)
from attention_zoo.layers.sequence.synthesizer import (
    RandomSynthesizer as RandomSynthesizer,
)
from attention_zoo.layers.series.auto_correlation import (
    AutoCorrelation as AutoCorrelation,
)
from attention_zoo.layers.series.de_stationary import (
    DeStationaryAttention as DeStationaryAttention,
)
from attention_zoo.layers.series.de_stationary import (
    DeStationaryFactors as DeStationaryFactors,
)
from attention_zoo.layers.series.fourier_attention import (
    FourierAttention as FourierAttention,
)
from attention_zoo.layers.series.fourier_block import FourierBlock as FourierBlock
from attention_zoo.layers.series.prob_sparse import (
    ProbSparseAttention as ProbSparseAttention,
)
from attention_zoo.layers.series.temporal_pattern import (
    TemporalPatternAttention as TemporalPatternAttention,
)
from attention_zoo.layers.series.two_stage import TwoStageAttention as TwoStageAttention
from attention_zoo.layers.transformer.decoder import (
    TransformerDecoderBlock as TransformerDecoderBlock,
)
from attention_zoo.layers.transformer.encoder import (
    TransformerEncoderBlock as TransformerEncoderBlock,
)
from attention_zoo.layers.transformer.feed_forward import FeedForward as FeedForward
from attention_zoo.layers.vision.axial_attention import AxialAttention as AxialAttention
from attention_zoo.layers.vision.bam import BAM as BAM
from attention_zoo.layers.vision.cbam import CBAM as CBAM
from attention_zoo.layers.vision.channel_attention import (
    ChannelAttention as ChannelAttention,
)
from attention_zoo.layers.vision.concurrent_squeeze_excite import (
    ConcurrentSqueezeExcite as ConcurrentSqueezeExcite,
)
from attention_zoo.layers.vision.coordinate_attention import (
    CoordinateAttention as CoordinateAttention,
)
from attention_zoo.layers.vision.criss_cross import CrissCross as CrissCross
from attention_zoo.layers.vision.divided_space_time_attention import (
    DividedSpaceTimeAttention as DividedSpaceTimeAttention,
)
from attention_zoo.layers.vision.double_attention import (
    DoubleAttention as DoubleAttention,
)
from attention_zoo.layers.vision.dual_attention import DualAttention as DualAttention
from attention_zoo.layers.vision.dynamic_conv import DynamicConv as DynamicConv
from attention_zoo.layers.vision.efficient_channel_attention import (
    EfficientChannelAttention as EfficientChannelAttention,
)
from attention_zoo.layers.vision.frequency_channel_attention import (
    FrequencyChannelAttention as FrequencyChannelAttention,
)
from attention_zoo.layers.vision.gather_excite import GatherExcite as GatherExcite
from attention_zoo.layers.vision.global_context import GlobalContext as GlobalContext
from attention_zoo.layers.vision.large_kernel_attention import (
    LargeKernelAttention as LargeKernelAttention,
)
from attention_zoo.layers.vision.non_local import NonLocal as NonLocal
from attention_zoo.layers.vision.parallel_polarized_attention import (
    ParallelPolarizedAttention as ParallelPolarizedAttention,
)
from attention_zoo.layers.vision.pixel_attention import PixelAttention as PixelAttention
from attention_zoo.layers.vision.selective_kernel import (
    SelectiveKernel as SelectiveKernel,
)
from attention_zoo.layers.vision.shuffle_attention import (
    ShuffleAttention as ShuffleAttention,
)
from attention_zoo.layers.vision.simam import SimAM as SimAM
from attention_zoo.layers.vision.spatial_attention import (
    SpatialAttention as SpatialAttention,
)
from attention_zoo.layers.vision.split_attention import SplitAttention as SplitAttention
from attention_zoo.layers.vision.squeeze_excite import SqueezeExcite as SqueezeExcite
from attention_zoo.layers.vision.style_recalibration import (
    StyleRecalibration as StyleRecalibration,
)
from attention_zoo.layers.vision.temporal_attention import (
    TemporalAttention as TemporalAttention,
)
from attention_zoo.layers.vision.triplet_attention import (
    TripletAttention as TripletAttention,
)
from attention_zoo.layers.vision.window_attention import (
    WindowAttention as WindowAttention,
)
