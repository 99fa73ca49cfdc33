"""What the PyTorch contestants share: blocks, counts, and the weights of ours.

The parts of a module are created in the order of the weights of the Keras layer or
model that it stands beside, by which `copy_weights` finds which weight is which.
"""

import functools
import warnings

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.flop_counter import FlopCounterMode


class Attention(nn.MultiheadAttention):
    """Dense layers around the fused kernel: one product for a sequence on itself."""

    def forward(self, x, memory=None, mask=None, causal=False, rotate=None):
        weight, bias, width = self.in_proj_weight, self.in_proj_bias, self.embed_dim
        if memory is None:
            parts = F.linear(x, weight, bias).chunk(3, -1)
        else:
            query = F.linear(x, weight[:width], bias[:width])
            query = query.expand(len(memory), -1, -1)  # `x` may be one row for all
            pair = F.linear(memory, weight[width:], bias[width:]).chunk(2, -1)
            parts = (query, *pair)
        heads = (self.num_heads, -1)
        query, key, value = (p.unflatten(-1, heads).transpose(1, 2) for p in parts)
        if rotate is not None:
            query, key = rotate(query), rotate(key)
        x = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        return self.out_proj(x.transpose(1, 2).flatten(2))


class Residual(nn.Module):
    """`x + dropout(layer(norm(x)))`, or normalized after the sum."""

    def __init__(self, layer, width, dropout, norm_first):
        super().__init__()
        self.layer, self.norm = layer, nn.LayerNorm(width, eps=1e-6)
        self.dropout, self.norm_first = nn.Dropout(dropout), norm_first

    def forward(self, x, *others, **options):
        if self.norm_first:
            return x + self.dropout(self.layer(self.norm(x), *others, **options))
        return self.norm(x + self.dropout(self.layer(x, *others, **options)))


class Block(nn.Module):
    """A block of a transformer's encoder, or of its decoder.

    In the decoder, padding behind a target needs no mask: no word sees it.
    """

    def __init__(
        self,
        width,
        num_heads,
        intermediate_dim,
        dropout,
        activation=nn.GELU,
        norm_first=True,
        decoder=False,
    ):
        super().__init__()
        residual = functools.partial(
            Residual, width=width, dropout=dropout, norm_first=norm_first
        )
        self.own = residual(Attention(width, num_heads, dropout))
        self.cross = residual(Attention(width, num_heads, dropout)) if decoder else None
        self.feed = residual(feed_forward(width, intermediate_dim, activation))

    def forward(self, x, mask=None, rotate=None, memory=None):
        if self.cross is None:
            return self.feed(self.own(x, mask=mask, rotate=rotate))
        x = self.own(x, causal=True, rotate=rotate)
        return self.feed(self.cross(x, memory, mask=mask))


def feed_forward(width, intermediate_dim, activation=nn.GELU):
    """Returns two linear layers with an activation in between."""
    hidden = nn.Linear(width, intermediate_dim)
    return nn.Sequential(hidden, activation(), nn.Linear(intermediate_dim, width))


class Additive(nn.Module):
    """Attention by `v' tanh(W1 q + W2 k + b)`, without a query `v' tanh(W2 k + b)`."""

    def __init__(self, width, units, query_width=None):
        super().__init__()
        self.scale = nn.Linear(units, 1, bias=False)
        self.query = query_width and nn.Linear(query_width, units, bias=False)
        self.key = nn.Linear(width, units)

    def weights(self, projected, mask=None):
        """Returns the weights `(..., S)` of sums of projections `(..., S, units)`."""
        scores = self.scale(torch.tanh(projected)).squeeze(-1)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-1)

    def forward(self, query, key, value):
        pairs = self.query(query).unsqueeze(2) + self.key(key).unsqueeze(1)
        return self.weights(pairs) @ value


class Positions(nn.Module):
    """Adds a learned vector to each position."""

    def __init__(self, count, width):
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(count, width))

    def forward(self, x):
        return x + self.vectors


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


def count_parameters(module):
    """Returns the number of trainable parameters.

    An LSTM of PyTorch adds two biases where Keras has one: `bias_hh` is left out. A GRU
    has both in Keras too.
    """
    counts = [p.numel() for p in module.parameters() if p.requires_grad]
    for part in module.modules():
        if isinstance(part, nn.LSTM):
            named = part.named_parameters()
            counts += [-p.numel() for name, p in named if "bias_hh" in name]
    return sum(counts)


def count_flops(module, inputs):
    """Returns the FLOPs of products and convolutions in a forward pass.

    Counted without kernels that hide what they compute; transforms and what is done
    element by element do not count.
    """
    module.eval()  # in which nothing moves
    counter = FlopCounterMode(display=False)
    with (
        warnings.catch_warnings(action="ignore"),  # of a setting that is left alone
        torch.backends.mkldnn.flags(enabled=False),
        sdpa_kernel(SDPBackend.MATH),
        counter,
    ):
        module(*inputs)
    return counter.get_total_flops()


def copy_weights(arrays, module):
    """Gives a module the weights of a Keras layer or model.

    Args:
        arrays: List of arrays, in the order of the module's parts.
        module: `nn.Module`.

    Raises:
        AssertionError: If weights are left over.
    """
    left = [torch.from_numpy(array.copy()) for array in arrays]

    def take(*parameters):
        for parameter in parameters:
            if parameter is not None:
                parameter.copy_(left.pop(0).reshape(parameter.shape))

    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear):
                take(part.weight.T, part.bias)
            elif isinstance(part, (nn.Conv1d, nn.Conv2d)):
                order = (*range(2, part.weight.ndim), 1, 0)
                take(part.weight.permute(order), part.bias)
            elif isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                take(part.weight, part.bias, part.running_mean, part.running_var)
            elif isinstance(part, nn.MultiheadAttention):
                kernels, biases = part.in_proj_weight.chunk(3), part.in_proj_bias
                for kernel, bias in zip(kernels, biases.chunk(3), strict=True):
                    take(kernel.T, bias)
            elif isinstance(part, (nn.LSTM, nn.GRU, nn.GRUCell)):
                _copy_recurrent(part, left)
            else:
                take(*part.parameters(recurse=False))
    assert not left, f"the module lacks weights of the shapes {[x.shape for x in left]}"


def _copy_recurrent(part, left):
    """Takes kernel, recurrent kernel and bias of each direction off a list."""
    ends = [""] if isinstance(part, nn.GRUCell) else ["_l0", "_l0_reverse"]
    for end in ends[: 1 + getattr(part, "bidirectional", False)]:
        kernel, recurrent, bias = (left.pop(0) for _ in range(3))
        if isinstance(part, nn.LSTM):
            bias = torch.stack([bias, torch.zeros_like(bias)])
        else:  # update, reset, new in Keras; reset, update, new in PyTorch
            update, reset, new = torch.arange(kernel.shape[1]).chunk(3)
            order = torch.cat([reset, update, new])
            kernel, recurrent, bias = (x[:, order] for x in (kernel, recurrent, bias))
        getattr(part, f"weight_ih{end}").copy_(kernel.T)
        getattr(part, f"weight_hh{end}").copy_(recurrent.T)
        getattr(part, f"bias_ih{end}").copy_(bias[0])
        getattr(part, f"bias_hh{end}").copy_(bias[1])
