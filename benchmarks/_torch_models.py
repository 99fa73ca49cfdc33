"""The zoo's classifiers in plain PyTorch, as twins for a race.

Each takes the arguments of the zoo's builder, as far as they matter here, and returns
logits. Images are `(B, C, H, W)`, uint8; convolutions run channels-last, which is the
quicker layout on a CPU.
"""

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks._torch_blocks import (
    AdditiveScore,
    CrossAttention,
    encoder,
    read,
)


class AttentionLSTM(nn.Module):
    """Embedding, bidirectional LSTM, attention pooling, head.

    `nn.LSTM` has two biases where Keras has one; `count_parameters` leaves one out.
    """

    def __init__(
        self,
        vocabulary_size,
        num_classes=2,
        embedding_dim=64,
        units=64,
        embedding_dropout=0.0,
        dropout=0.5,
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_dim)
        self.embedding_dropout = nn.Dropout1d(embedding_dropout)
        self.lstm = nn.LSTM(embedding_dim, units, batch_first=True, bidirectional=True)
        self.attention_additive = AdditiveScore(2 * units, 2 * units)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * units, num_classes)

    def forward(self, ids):
        mask = ids != 0
        x = self.embedding(ids).transpose(1, 2)  # whole channels are dropped
        x = self.embedding_dropout(x).transpose(1, 2)
        x, _ = read(self.lstm, x, mask.sum(1))  # (B, T, 2 * units)
        scores = self.attention_additive(self.attention_additive.key(x))
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        x = torch.bmm(weights.unsqueeze(1), x).squeeze(1)
        return self.head(self.dropout(x))


def pixels_to_maps(pixels):
    """Returns uint8 images as floats from -1 to 1."""
    return pixels.to(torch.float32) / 127.5 - 1


class Convolution(nn.Module):
    """A convolution without bias, batch-normalized.

    With a stride of 2, sizes are even here, and Keras pads below and to the right.
    """

    def __init__(self, channels, filters, kernel_size, stride=1):
        super().__init__()
        self.below = kernel_size > 1 and stride == 2
        padding = 0 if self.below else kernel_size // 2
        self.conv = nn.Conv2d(
            channels, filters, kernel_size, stride, padding, bias=False
        )
        self.norm = nn.BatchNorm2d(filters)

    def forward(self, x):
        if self.below:
            x = F.pad(x, (0, 1, 0, 1))
        return self.norm(self.conv(x))


class CBAM(nn.Module):
    """A gate for each channel, then one for each position."""

    def __init__(self, channels, ratio=16, kernel_size=7):
        super().__init__()
        hidden = -(-channels // ratio)
        self.channel_reduce = nn.Linear(channels, hidden, bias=False)
        self.channel_expand = nn.Linear(hidden, channels, bias=False)
        self.spatial_conv = nn.Conv2d(
            2, 1, kernel_size, padding=kernel_size // 2, bias=False
        )

    def _describe(self, vector):
        return self.channel_expand(F.relu(self.channel_reduce(vector)))

    def forward(self, x):
        gate = self._describe(x.mean((2, 3))) + self._describe(x.amax((2, 3)))
        x = x * torch.sigmoid(gate)[:, :, None, None]
        maps = [x.mean(1, keepdim=True), x.amax(1, keepdim=True)]
        return x * torch.sigmoid(self.spatial_conv(torch.cat(maps, 1)))


class ResidualBlock(nn.Module):
    """`relu(x + attention(conv(relu(conv(x)))))`."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.first = Convolution(channels, filters, 3, stride)
        self.second = Convolution(filters, filters, 3)
        self.attention = CBAM(filters)
        self.shortcut = None
        if stride != 1 or channels != filters:
            self.shortcut = Convolution(channels, filters, 1, stride)

    def forward(self, x):
        y = self.attention(self.second(F.relu(self.first(x), inplace=True)))
        x = x if self.shortcut is None else self.shortcut(x)
        return F.relu(x + y, inplace=True)


class Stage(nn.Module):
    """Residual blocks of one width."""

    def __init__(self, channels, filters, stride, blocks):
        super().__init__()
        first = ResidualBlock(channels, filters, stride)
        rest = [ResidualBlock(filters, filters, 1) for _ in range(blocks - 1)]
        self.block = nn.Sequential(first, *rest)

    def forward(self, x):
        return self.block(x)


class CBAMResNet(nn.Module):
    """A residual network with CBAM in each block."""

    def __init__(
        self, num_classes, input_shape=(28, 28, 1), depth=20, width=16, dropout=0.0
    ):
        super().__init__()
        blocks = (depth - 2) // 6
        self.stem = Convolution(input_shape[-1], width, 3)
        stages = [
            Stage(width, width, 1, blocks),
            Stage(width, 2 * width, 2, blocks),
            Stage(2 * width, 4 * width, 2, blocks),
        ]
        self.stage = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * width, num_classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, pixels):
        x = pixels_to_maps(pixels).to(memory_format=torch.channels_last)
        x = self.stage(F.relu(self.stem(x), inplace=True))
        return self.head(self.dropout(x.mean((2, 3))))


class ClassAttention(CrossAttention):
    """One learned query sums up a sequence."""

    def __init__(self, width, num_heads):
        super().__init__(width, num_heads)
        self.queries = nn.Parameter(torch.empty(1, width))
        nn.init.xavier_uniform_(self.queries)

    def forward(self, x):
        return super().forward(self.queries.unsqueeze(0), x).squeeze(1)


class VisionTransformer(nn.Module):
    """Patches, a transformer encoder, class attention, head."""

    def __init__(
        self,
        num_classes,
        input_shape=(28, 28, 1),
        patch_size=4,
        width=64,
        num_layers=4,
        num_heads=4,
        dropout=0.1,
    ):
        super().__init__()
        height, width_of_image, channels = input_shape
        count = (height // patch_size) * (width_of_image // patch_size)
        self.patches = nn.Conv2d(channels, width, patch_size, patch_size, bias=False)
        self.patches_bias = nn.Parameter(torch.zeros(count, width))  # positions
        sizes = width, num_heads, 2 * width, dropout
        self.block = encoder(num_layers, *sizes, norm_first=True)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.class_attention = ClassAttention(width, num_heads)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)

    def forward(self, pixels):
        x = self.patches(pixels_to_maps(pixels)).flatten(2).transpose(1, 2)
        x = self.block(self.dropout(x + self.patches_bias))  # (B, N, width)
        x = self.class_attention(self.norm(x))
        return self.head(self.dropout(x))


TWINS = {
    "attention_lstm": AttentionLSTM,
    "cbam_resnet": CBAMResNet,
    "vision_transformer": VisionTransformer,
}
