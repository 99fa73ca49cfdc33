"""The zoo's classifiers and translators in plain PyTorch, as twins for a race.

Each takes the configuration `c`, the arguments of the zoo's builder. Images are
`(B, C, H, W)`, uint8; convolutions run channels-last, which is the quicker layout on a
CPU. Classifiers return logits. Translators go, with teacher forcing, from ids `(B, S)`
of the source and `(B, T)` of the target to logits `(B, T, V)`; id 0 is padding, and one
table of word vectors serves the source, the target and the logits.

`nn.LSTM` has two biases where Keras has one; `count_parameters` leaves one out.
"""

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import _torch_series
from benchmarks._torch_blocks import (
    Additive,
    Attention,
    Block,
    Positions,
    read,
)
from benchmarks._torch_vision import CBAM

SCORE_UNITS = 64  # what the zoo's decoder gives Bahdanau's attention
MAX_LENGTH = 64


class AttentionLSTM(nn.Module):
    """Embedding, bidirectional LSTM, attention pooling, head."""

    def __init__(self, c):
        super().__init__()
        width = 2 * c.units
        self.embedding = nn.Embedding(c.vocabulary_size, c.embedding_dim)
        self.embedding_dropout = nn.Dropout1d(c.embedding_dropout)
        self.lstm = nn.LSTM(
            c.embedding_dim, c.units, batch_first=True, bidirectional=True
        )
        self.attention = Additive(width, width)
        self.dropout = nn.Dropout(c.dropout)
        self.head = nn.Linear(width, 2)

    def forward(self, ids):
        mask = ids != 0
        x = self.embedding(ids).transpose(1, 2)  # whole channels are dropped
        x = self.embedding_dropout(x).transpose(1, 2)
        x, _ = read(self.lstm, x, mask.sum(1))  # (B, T, 2 * units)
        weights = self.attention.weights(self.attention.key(x), mask)
        x = torch.bmm(weights.unsqueeze(1), x).squeeze(1)
        return self.head(self.dropout(x))


def pixels_to_maps(pixels):
    """Returns uint8 images as floats from -1 to 1."""
    return pixels.to(torch.float32) / 127.5 - 1


def convolution(channels, filters, kernel_size, stride=1):
    """Returns a convolution without bias, padded as Keras pads an even size.

    With a stride of 2, that is below and to the right.
    """
    below = kernel_size > 1 and stride == 2
    padding = 0 if below else kernel_size // 2
    conv = nn.Conv2d(channels, filters, kernel_size, stride, padding, bias=False)
    return nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), conv) if below else conv


class ResidualBlock(nn.Module):
    """`relu(x + attention(conv(relu(conv(x)))))`, each convolution normalized."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.first = convolution(channels, filters, 3, stride)
        self.first_norm = nn.BatchNorm2d(filters)
        self.second = convolution(filters, filters, 3)
        self.second_norm = nn.BatchNorm2d(filters)
        changes = stride != 1 or channels != filters
        self.shortcut = convolution(channels, filters, 1, stride) if changes else None
        self.attention = CBAM(filters)
        self.shortcut_norm = nn.BatchNorm2d(filters) if changes else None

    def forward(self, x):
        y = F.relu(self.first_norm(self.first(x)), inplace=True)
        y = self.attention(self.second_norm(self.second(y)))
        x = x if self.shortcut is None else self.shortcut_norm(self.shortcut(x))
        return F.relu(x + y, inplace=True)


class CBAMResNet(nn.Module):
    """A residual network with CBAM in each block."""

    def __init__(self, c):
        super().__init__()
        self.stem = nn.Sequential(
            convolution(c.input_shape[-1], c.width, 3),
            nn.BatchNorm2d(c.width),
            nn.ReLU(inplace=True),
        )
        blocks, channels = [], c.width
        for stage in range(3):
            for i in range((c.depth - 2) // 6):
                filters = c.width * 2**stage
                stride = 2 if stage and not i else 1
                blocks.append(ResidualBlock(channels, filters, stride))
                channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(c.dropout)
        self.head = nn.Linear(channels, c.num_classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, pixels):
        x = pixels_to_maps(pixels).to(memory_format=torch.channels_last)
        x = self.blocks(self.stem(x))
        return self.head(self.dropout(x.mean((2, 3))))


class VisionTransformer(nn.Module):
    """Patches, a transformer encoder, attention of one learned query, head."""

    def __init__(self, c):
        super().__init__()
        height, width, channels = c.input_shape
        size = c.patch_size
        self.patches = nn.Conv2d(channels, c.width, size, size, bias=False)
        self.positions = Positions((height // size) * (width // size), c.width)
        sizes = c.width, c.num_heads, 2 * c.width, c.dropout
        self.block = nn.Sequential(*(Block(*sizes) for _ in range(c.num_layers)))
        self.norm = nn.LayerNorm(c.width, eps=1e-6)
        self.query = nn.Embedding(1, c.width)
        self.class_attention = Attention(c.width, c.num_heads)
        self.dropout = nn.Dropout(c.dropout)
        self.head = nn.Linear(c.width, c.num_classes)

    def forward(self, pixels):
        x = self.patches(pixels_to_maps(pixels)).flatten(2).transpose(1, 2)
        x = self.norm(self.block(self.dropout(self.positions(x))))  # (B, N, width)
        x = self.class_attention(self.query.weight.unsqueeze(0), x).squeeze(1)
        return self.head(self.dropout(x))


class AttentionDecoder(nn.Module):
    """A GRU with Bahdanau's attention after each step, and input feeding."""

    def __init__(self, width, units):
        super().__init__()
        self.attention = nn.Linear(2 * units, width, bias=False)
        self.cell = nn.GRUCell(2 * width, units)
        self.additive = Additive(units, SCORE_UNITS, query_width=units)

    def forward(self, inputs, state, memory, mask):
        keys = self.additive.key(memory)  # (B, S, SCORE_UNITS)
        output = torch.zeros_like(inputs[:, 0])
        outputs = []
        for x in inputs.unbind(1):
            state = self.cell(torch.cat([x, output], -1), state)
            query = self.additive.query(state).unsqueeze(1)
            weights = self.additive.weights(query + keys, mask)
            context = torch.bmm(weights.unsqueeze(1), memory).squeeze(1)
            output = torch.tanh(self.attention(torch.cat([context, state], -1)))
            outputs.append(output)
        return torch.stack(outputs, 1)


class RNNTranslator(nn.Module):
    """Bidirectional GRU, attention, GRU."""

    def __init__(self, c):
        super().__init__()
        width, units = c.embedding_dim, c.units
        self.embedding = nn.Embedding(c.source_vocabulary_size, width)
        self.dropout = nn.Dropout(c.dropout)
        self.encoder = nn.GRU(width, units, batch_first=True, bidirectional=True)
        self.memory = nn.Linear(2 * units, units)
        self.initial_state = nn.Linear(2 * units, units)
        self.decoder = AttentionDecoder(width, units)

    def forward(self, source, target):
        mask = source != 0
        x = self.dropout(self.embedding(source))
        x, last = read(self.encoder, x, mask.sum(1))
        state = torch.tanh(self.initial_state(torch.cat([last[0], last[1]], -1)))
        y = self.dropout(self.embedding(target))
        y = self.decoder(y, state, self.memory(x), mask)
        return F.linear(self.dropout(y), self.embedding.weight)


class TransformerTranslator(nn.Module):
    """Transformer of encoder and decoder, normalized first, rotary positions."""

    def __init__(self, c):
        super().__init__()
        sizes = c.width, c.num_heads, c.intermediate_dim, c.dropout, nn.ReLU
        layers = range(c.num_layers)
        self.embedding = nn.Embedding(c.source_vocabulary_size, c.width)
        self.dropout = nn.Dropout(c.dropout)
        self.encoder = nn.ModuleList(Block(*sizes) for _ in layers)
        self.encoder_norm = nn.LayerNorm(c.width, eps=1e-6)
        self.decoder = nn.ModuleList(Block(*sizes, decoder=True) for _ in layers)
        self.decoder_norm = nn.LayerNorm(c.width, eps=1e-6)
        rotations = make_rotations(MAX_LENGTH, c.width // c.num_heads)
        self.register_buffer("rotations", rotations, persistent=False)

    def _rotate(self, x):
        """Returns heads `(B, H, T, K)`, each pair rotated by its position."""
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * self.rotations[: x.shape[2]]).flatten(-2)

    def _embed(self, ids):
        x = self.embedding(ids)
        return self.dropout(x * x.shape[-1] ** 0.5)

    def forward(self, source, target):
        mask = (source != 0)[:, None, None]  # (B, 1, 1, S)
        x, y = self._embed(source), self._embed(target)
        for block in self.encoder:
            x = block(x, mask, self._rotate)
        x = self.encoder_norm(x)
        for block in self.decoder:
            y = block(y, mask, self._rotate, x)
        return F.linear(self.decoder_norm(y), self.embedding.weight)


def make_rotations(length, width):
    """Returns complex numbers `(length, width / 2)` that rotate pairs of features."""
    speeds = 10000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), speeds)
    return torch.polar(torch.ones_like(angles), angles)


TWINS = _torch_series.TWINS | {
    "attention_lstm": AttentionLSTM,
    "cbam_resnet": CBAMResNet,
    "vision_transformer": VisionTransformer,
    "rnn_translator": RNNTranslator,
    "transformer_translator": TransformerTranslator,
}
