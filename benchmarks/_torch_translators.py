"""The zoo's translators in plain PyTorch, with teacher forcing, as twins for a race.

Each goes from ids `(B, S)` of the source and `(B, T)` of the target, shifted by one, to
logits `(B, T, V)`; id 0 is padding. Source and target share one table of word vectors,
which are the weights of the logits as well, as in the recipes.
"""

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks._torch_blocks import AdditiveScore, DecoderBlock, EncoderBlock, read

SCORE_UNITS = 64  # what the zoo's decoder gives Bahdanau's attention


class AttentionDecoder(nn.Module):
    """A GRU with Bahdanau's attention after each step, and input feeding."""

    def __init__(self, width, units):
        super().__init__()
        self.cell = nn.GRUCell(2 * width, units)
        self.attention_additive = AdditiveScore(units, SCORE_UNITS, query_width=units)
        self.attention = nn.Linear(2 * units, width, bias=False)

    def forward(self, inputs, state, memory, mask):
        score = self.attention_additive
        keys = score.key(memory)  # (B, S, SCORE_UNITS)
        hidden = ~mask
        output = torch.zeros_like(inputs[:, 0])
        outputs = []
        for x in inputs.unbind(1):
            state = self.cell(torch.cat([x, output], -1), state)
            scores = score(score.query(state).unsqueeze(1) + keys)
            weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
            context = torch.bmm(weights.unsqueeze(1), memory).squeeze(1)
            output = torch.tanh(self.attention(torch.cat([context, state], -1)))
            outputs.append(output)
        return torch.stack(outputs, 1)


class RNNTranslator(nn.Module):
    """Bidirectional GRU, attention, GRU."""

    renames = {"decoder": "decoder_attention_cell"}  # as the zoo calls it

    def __init__(
        self,
        source_vocabulary_size,
        target_vocabulary_size,
        embedding_dim=256,
        units=256,
        dropout=0.3,
    ):
        super().__init__()
        self.embedding = nn.Embedding(source_vocabulary_size, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.GRU(
            embedding_dim, units, batch_first=True, bidirectional=True
        )
        self.memory = nn.Linear(2 * units, units)
        self.initial_state_0 = nn.Linear(2 * units, units)
        self.decoder = AttentionDecoder(embedding_dim, units)

    def forward(self, source, target):
        mask = source != 0
        x = self.dropout(self.embedding(source))
        x, last = read(self.encoder, x, mask.sum(1))
        state = torch.tanh(self.initial_state_0(torch.cat([last[0], last[1]], -1)))
        y = self.dropout(self.embedding(target))
        y = self.decoder(y, state, self.memory(x), mask)
        return F.linear(self.dropout(y), self.embedding.weight)


class TransformerTranslator(nn.Module):
    """Transformer of encoder and decoder, normalized first, rotary positions."""

    def __init__(
        self,
        source_vocabulary_size,
        target_vocabulary_size,
        width=256,
        num_layers=3,
        num_heads=4,
        intermediate_dim=1024,
        dropout=0.1,
        max_length=64,
    ):
        super().__init__()
        sizes = width, num_heads, intermediate_dim, dropout
        self.embedding = nn.Embedding(source_vocabulary_size, width)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.ModuleList(
            [EncoderBlock(*sizes, F.relu, norm_first=True) for _ in range(num_layers)]
        )
        self.encoder_norm = nn.LayerNorm(width, eps=1e-6)
        self.decoder = nn.ModuleList([DecoderBlock(*sizes) for _ in range(num_layers)])
        self.decoder_norm = nn.LayerNorm(width, eps=1e-6)
        turns = rotations(max_length, width // num_heads)
        self.register_buffer("turns", turns, persistent=False)

    def _turn(self, x):
        """Returns heads `(B, H, T, K)`, each pair turned by its position."""
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * self.turns[: x.shape[2]]).flatten(-2)

    def _embed(self, ids):
        x = self.embedding(ids)
        return self.dropout(x * x.shape[-1] ** 0.5)

    def forward(self, source, target):
        mask = (source != 0)[:, None, None]  # (B, 1, 1, S)
        x = self._embed(source)
        for block in self.encoder:
            x = block(x, mask, self._turn)
        x = self.encoder_norm(x)
        y = self._embed(target)
        for block in self.decoder:
            y = block(y, x, mask, self._turn)
        return F.linear(self.decoder_norm(y), self.embedding.weight)


def rotations(length, width):
    """Returns the complex numbers `(length, width / 2)` that turn pairs of features."""
    speeds = 10000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), speeds)
    return torch.polar(torch.ones_like(angles), angles)


TWINS = {
    "rnn_translator": RNNTranslator,
    "transformer_translator": TransformerTranslator,
}
