"""Parts of the PyTorch twins that several of them have.

Attributes are named as the zoo names its layers, so that `_torch_weights` finds which
weight is which.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def split_heads(x, parts, num_heads):
    """Returns `(B, T, parts * H * K)` as `parts` tensors `(B, H, T, K)`."""
    return x.unflatten(-1, (parts, num_heads, -1)).permute(2, 0, 3, 1, 4)


def attend(query, key, value, dropout, mask=None, causal=False):
    """Returns scaled dot-product attention of heads `(B, H, T, K)`, joined."""
    x = F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=causal
    )
    return x.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one projection to queries, keys and values."""

    def __init__(self, width, num_heads, dropout):
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_output = nn.Linear(width, width)

    def forward(self, x, mask=None, causal=False, turn=None):
        query, key, value = split_heads(self.qkv(x), 3, self.num_heads)
        if turn is not None:
            query, key = turn(query), turn(key)
        dropout = self.dropout if self.training else 0.0
        return self.attention_output(attend(query, key, value, dropout, mask, causal))


class CrossAttention(nn.Module):
    """Multi-head attention to another sequence."""

    def __init__(self, width, num_heads, dropout=0.0):
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.query = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.attention_output = nn.Linear(width, width)

    def forward(self, x, memory, mask=None):
        (query,) = split_heads(self.query(x), 1, self.num_heads)
        key, value = split_heads(self.kv(memory), 2, self.num_heads)
        query = query.expand(len(memory), -1, -1, -1)  # `x` may be one row for all
        dropout = self.dropout if self.training else 0.0
        return self.attention_output(attend(query, key, value, dropout, mask))


class FeedForward(nn.Module):
    """Two linear layers with an activation in between."""

    def __init__(self, width, intermediate_dim, activation=F.gelu):
        super().__init__()
        self.hidden = nn.Linear(width, intermediate_dim)
        self.output = nn.Linear(intermediate_dim, width)
        self.activation = activation

    def forward(self, x):
        return self.output(self.activation(self.hidden(x)))


class EncoderBlock(nn.Module):
    """Self-attention and a feed-forward layer with residuals and normalizations."""

    def __init__(
        self,
        width,
        num_heads,
        intermediate_dim,
        dropout,
        activation=F.gelu,
        norm_first=False,
    ):
        super().__init__()
        self.norm_first = norm_first
        self.self_attention = SelfAttention(width, num_heads, dropout)
        self.self_attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.feed_forward = FeedForward(width, intermediate_dim, activation)
        self.feed_forward_norm = nn.LayerNorm(width, eps=1e-6)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None, turn=None):
        if self.norm_first:
            y = self.self_attention(self.self_attention_norm(x), mask, turn=turn)
            x = x + self.dropout(y)
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        y = self.self_attention(x, mask, turn=turn)
        x = self.self_attention_norm(x + self.dropout(y))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


def encoder(num_layers, *sizes, **options):
    """Returns encoder blocks, one after the other, with the arguments of each."""
    return nn.Sequential(*(EncoderBlock(*sizes, **options) for _ in range(num_layers)))


class DecoderBlock(nn.Module):
    """Causal self-attention, attention to the encoder, a feed-forward layer.

    Normalized before each. Padding behind a target needs no mask: no word sees it.
    """

    def __init__(self, width, num_heads, intermediate_dim, dropout):
        super().__init__()
        self.self_attention = SelfAttention(width, num_heads, dropout)
        self.self_attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.cross_attention = CrossAttention(width, num_heads, dropout)
        self.cross_attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.feed_forward = FeedForward(width, intermediate_dim, F.relu)
        self.feed_forward_norm = nn.LayerNorm(width, eps=1e-6)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, memory, mask, turn):
        y = self.self_attention(self.self_attention_norm(x), causal=True, turn=turn)
        x = x + self.dropout(y)
        y = self.cross_attention(self.cross_attention_norm(x), memory, mask)
        x = x + self.dropout(y)
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class AdditiveScore(nn.Module):
    """`v' tanh(W1 q + W2 k + b)`, without a query `v' tanh(W2 k + b)`."""

    def __init__(self, width, units, query_width=None):
        super().__init__()
        self.key = nn.Linear(width, units)
        self.query = query_width and nn.Linear(query_width, units, bias=False)
        self.scale = nn.Linear(units, 1, bias=False)

    def forward(self, projected):
        """Returns the scores `(...)` of sums of projections `(..., units)`."""
        return self.scale(torch.tanh(projected)).squeeze(-1)


def read(rnn, x, lengths):
    """Returns what a recurrent layer gives, packed only where there is padding.

    A plain batch is the quicker one, on a CPU by oneDNN.

    Args:
        rnn: `nn.LSTM` or `nn.GRU`, batch first.
        x: Tensor `(B, T, D)`.
        lengths: Integer tensor `(B,)`.
    """
    total = x.shape[1]
    if int(lengths.min()) == total:
        return rnn(x)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, last = rnn(packed)
    outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=total)
    return outputs, last
