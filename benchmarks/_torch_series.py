"""The zoo's forecasters in plain PyTorch, as twins for a race.

Each takes the configuration `c`, the arguments of the zoo's builder, and goes from
windows `(B, L, C)` to forecasts `(B, H, C)`; `rows` are `(B * C, L)`.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks._torch_blocks import Additive, Block, Positions, feed_forward

EPSILON = 1e-5


class Forecaster(nn.Module):
    """Normalizes each window, forecasts, and gives level and scale back."""

    def forward(self, series):
        variance, mean = torch.var_mean(series, 1, correction=0, keepdim=True)
        deviation = (variance + EPSILON).sqrt()
        variates = ((series - mean) / deviation).transpose(1, 2)  # (B, C, L)
        return self.forecast(variates).transpose(1, 2) * deviation + mean


class AttentionForecaster(Forecaster):
    """An LSTM over segments, one over steps, and Bahdanau's attention in between."""

    def __init__(self, c):
        super().__init__()
        self.horizon, self.segments = c.horizon, c.lookback // c.segment_length
        self.encoder = nn.LSTM(c.segment_length, c.units, batch_first=True)
        self.queries = nn.Linear(c.units, c.units, bias=False)
        self.positions = Positions(-(-c.horizon // c.step_length), c.units)
        self.decoder = nn.LSTM(c.units, c.units, batch_first=True)
        self.copy = nn.Linear(c.segment_length, c.step_length)
        self.head = nn.Linear(c.units, c.step_length)
        self.attention = Additive(c.units, c.units, query_width=c.units)
        self.dropout = nn.Dropout(c.dropout)

    def forecast(self, variates):
        segmented = variates.flatten(0, 1).unflatten(1, (self.segments, -1))
        states, last = self.encoder(segmented)  # (B * C, S, units)
        queries = self.positions(self.queries(last[0][0]).unsqueeze(1))
        x, _ = self.decoder(queries, last)  # (B * C, M, units)
        copied = self.attention(x, states, self.copy(segmented))
        outputs = (self.head(self.dropout(x)) + copied).flatten(1)
        return outputs[:, : self.horizon].unflatten(0, variates.shape[:2])


class InvertedTransformer(Forecaster):
    """Whole series as tokens, a transformer encoder, a head, and a linear skip."""

    def __init__(self, c):
        super().__init__()
        self.tokens = nn.Linear(c.lookback, c.width)
        self.dropout = nn.Dropout(c.dropout)
        sizes = c.width, c.num_heads, 2 * c.width, c.dropout, nn.GELU, False
        self.block = nn.Sequential(*(Block(*sizes) for _ in range(c.num_layers)))
        self.head = nn.Linear(c.width, c.horizon)
        self.skip = nn.Linear(c.lookback, c.horizon)

    def forecast(self, variates):
        x = self.block(self.dropout(self.tokens(variates)))  # (B, C, width)
        return self.head(x) + self.skip(variates)


class PatchTransformer(Forecaster):
    """Patches of one variate at a time, a transformer encoder, and a linear skip."""

    def __init__(self, c):
        super().__init__()
        self.patch_length, self.stride = c.patch_length, c.stride
        count = (c.lookback - c.patch_length) // c.stride + 2
        self.patches = nn.Linear(c.patch_length, c.width, bias=False)
        self.positions = Positions(count, c.width)
        sizes = c.width, c.num_heads, 8 * c.width, c.dropout, nn.GELU, False
        self.block = nn.Sequential(*(Block(*sizes) for _ in range(c.num_layers)))
        self.dropout = nn.Dropout(c.dropout)
        self.head = nn.Linear(count * c.width, c.horizon)
        self.skip = nn.Linear(c.lookback, c.horizon)

    def forecast(self, variates):
        rows = variates.flatten(0, 1)  # (B * C, L)
        longer = F.pad(rows.unsqueeze(1), (0, self.stride), mode="replicate")
        patches = longer.squeeze(1).unfold(1, self.patch_length, self.stride)
        x = self.block(self.dropout(self.positions(self.patches(patches))))
        x = self.head(self.dropout(x.flatten(1))) + self.skip(rows)
        return x.unflatten(0, variates.shape[:2])


class AutoCorrelation(nn.Module):
    """A series attends to itself at the delays where it most resembles itself."""

    def __init__(self, width, num_heads):
        super().__init__()
        inner = num_heads * -(-width // num_heads)
        self.num_heads = num_heads
        self.query = nn.Linear(width, inner, bias=False)
        self.key = nn.Linear(width, inner, bias=False)
        self.value = nn.Linear(width, inner)
        self.attention_output = nn.Linear(inner, width)

    def forward(self, x):
        length = x.shape[1]
        projected = (dense(x) for dense in (self.query, self.key, self.value))
        heads = (p.unflatten(-1, (self.num_heads, -1)) for p in projected)
        spectra = (torch.fft.rfft(h.permute(0, 2, 3, 1)) for h in heads)
        query, key, value = spectra  # (N, H, K, F)
        correlation = torch.fft.irfft((key.conj() * query).mean(2), n=length)
        best, delays = correlation.topk(max(int(math.log(length)), 1))  # (N, H, k)
        weights = torch.zeros_like(correlation).scatter(-1, delays, best.softmax(-1))
        shares = torch.fft.rfft(weights).conj().unsqueeze(2)
        output = torch.fft.irfft(shares * value, n=length)  # (N, H, K, T)
        return self.attention_output(output.permute(0, 3, 1, 2).flatten(2))


def moving_average(x, length):
    """Returns the mean of `length` steps around each of `(N, D, T)`."""
    padded = F.pad(x, (length // 2, length // 2), mode="replicate")
    return F.avg_pool1d(padded, length, stride=1)


class AutocorrelationForecaster(Forecaster):
    """Decomposition, auto-correlation blocks, linear heads."""

    def __init__(self, c):
        super().__init__()
        self.trend_length = c.trend_length
        self.embedding = nn.Conv1d(1, c.width, 3, padding=1)
        self.changes = nn.ModuleList()
        for _ in range(c.num_layers):
            self.changes.append(AutoCorrelation(c.width, c.num_heads))
            self.changes.append(feed_forward(c.width, 4 * c.width))
        self.dropout = nn.Dropout(c.dropout)
        self.summary = nn.Linear(c.width, 1)
        self.season = nn.Linear(c.lookback, c.horizon)
        self.trend = nn.Linear(c.lookback, c.horizon)

    def forecast(self, variates):
        rows = variates.flatten(0, 1).unsqueeze(1)  # (B * C, 1, L)
        trend = moving_average(rows, self.trend_length)
        x = self.embedding(rows - trend).transpose(1, 2)  # (B * C, L, width)
        for change in self.changes:
            x = x + self.dropout(change(x))
            mean = moving_average(x.transpose(1, 2), self.trend_length)
            x = x - mean.transpose(1, 2)
        x = self.season(self.summary(x).squeeze(-1)) + self.trend(trend.squeeze(1))
        return x.unflatten(0, variates.shape[:2])


TWINS = {
    "attention_forecaster": AttentionForecaster,
    "inverted_transformer": InvertedTransformer,
    "patch_transformer": PatchTransformer,
    "autocorrelation_forecaster": AutocorrelationForecaster,
}
