"""The zoo's forecasters in plain PyTorch, as twins for a race.

Each goes from windows `(B, L, C)` to forecasts `(B, H, C)` and takes the arguments of
the zoo's builder, as far as they matter here. `rows` are `(B * C, L)`.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks._torch_blocks import AdditiveScore, FeedForward, encoder

EPSILON = 1e-5


class Forecaster(nn.Module):
    """Normalizes each window, forecasts, and gives level and scale back."""

    def forward(self, series):
        variance, mean = torch.var_mean(series, 1, correction=0, keepdim=True)
        deviation = (variance + EPSILON).sqrt()
        variates = ((series - mean) / deviation).transpose(1, 2)  # (B, C, L)
        return self.forecast(variates).transpose(1, 2) * deviation + mean

    def forecast(self, variates):
        """Returns the forecasts `(B, C, H)` of normalized windows `(B, C, L)`."""
        raise NotImplementedError


class AttentionForecaster(Forecaster):
    """An LSTM over segments, one over steps, and Bahdanau's attention in between.

    `nn.LSTM` has two biases where Keras has one; `count_parameters` leaves one out.
    """

    def __init__(
        self,
        lookback,
        horizon,
        num_variates,
        segment_length=4,
        step_length=24,
        units=32,
        dropout=0.1,
    ):
        super().__init__()
        self.horizon, self.segments = horizon, lookback // segment_length
        steps = -(-horizon // step_length)
        self.encoder = nn.LSTM(segment_length, units, batch_first=True)
        self.queries = nn.Linear(units, units, bias=False)
        self.queries_bias = nn.Parameter(torch.zeros(steps, units))  # positions
        self.decoder = nn.LSTM(units, units, batch_first=True)
        self.attention_additive = AdditiveScore(units, units, query_width=units)
        self.copy = nn.Linear(segment_length, step_length)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(units, step_length)

    def forecast(self, variates):
        segmented = variates.flatten(0, 1).unflatten(1, (self.segments, -1))
        states, last = self.encoder(segmented)  # (B * C, S, units)
        queries = self.queries(last[0][0]).unsqueeze(1) + self.queries_bias
        x, _ = self.decoder(queries, last)  # (B * C, M, units)
        score = self.attention_additive
        projected = score.query(x).unsqueeze(2) + score.key(states).unsqueeze(1)
        weights = score(projected).softmax(-1)  # (B * C, M, S)
        outputs = self.head(self.dropout(x)) + weights @ self.copy(segmented)
        outputs = outputs.flatten(1)[:, : self.horizon]
        return outputs.unflatten(0, variates.shape[:2])


class InvertedTransformer(Forecaster):
    """Whole series as tokens, a transformer encoder, a head, and a linear skip."""

    def __init__(
        self,
        lookback,
        horizon,
        num_variates,
        num_layers=2,
        num_heads=4,
        width=64,
        dropout=0.1,
    ):
        super().__init__()
        self.tokens = nn.Linear(lookback, width)
        self.tokens_dropout = nn.Dropout(dropout)
        self.block = encoder(num_layers, width, num_heads, 2 * width, dropout)
        self.head = nn.Linear(width, horizon)
        self.skip = nn.Linear(lookback, horizon)

    def forecast(self, variates):
        x = self.block(self.tokens_dropout(self.tokens(variates)))  # (B, C, width)
        return self.head(x) + self.skip(variates)


class PatchTransformer(Forecaster):
    """Patches of one variate at a time, a transformer encoder, and a linear skip."""

    def __init__(
        self,
        lookback,
        horizon,
        num_variates,
        patch_length=16,
        stride=8,
        num_layers=3,
        num_heads=4,
        width=16,
        dropout=0.2,
    ):
        super().__init__()
        self.patch_length, self.stride = patch_length, stride
        count = (lookback - patch_length) // stride + 2
        self.patches = nn.Linear(patch_length, width, bias=False)
        self.patches_bias = nn.Parameter(torch.zeros(count, width))  # positions
        self.block = encoder(num_layers, width, num_heads, 8 * width, dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(count * width, horizon)
        self.skip = nn.Linear(lookback, horizon)

    def forecast(self, variates):
        rows = variates.flatten(0, 1)  # (B * C, L)
        longer = F.pad(rows.unsqueeze(1), (0, self.stride), mode="replicate")
        patches = longer.squeeze(1).unfold(1, self.patch_length, self.stride)
        x = self.block(self.dropout(self.patches(patches) + self.patches_bias))
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

    def _spectrum(self, dense, x):
        """Returns the Fourier transform over time of heads `(N, H, K, T)`."""
        heads = dense(x).unflatten(-1, (self.num_heads, -1)).permute(0, 2, 3, 1)
        return torch.fft.rfft(heads)

    def forward(self, x):
        length = x.shape[1]
        query, key, value = (
            self._spectrum(dense, x) for dense in (self.query, self.key, self.value)
        )
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

    def __init__(
        self,
        lookback,
        horizon,
        num_variates,
        num_layers=2,
        num_heads=4,
        width=16,
        trend_length=25,
        dropout=0.1,
    ):
        super().__init__()
        self.trend_length = trend_length
        self.embedding = nn.Conv1d(1, width, 3, padding=1)
        layers = range(num_layers)
        self.attention = nn.ModuleList(
            [AutoCorrelation(width, num_heads) for _ in layers]
        )
        self.feed = nn.ModuleList([FeedForward(width, 4 * width) for _ in layers])
        self.dropout = nn.Dropout(dropout)
        self.summary = nn.Linear(width, 1)
        self.season = nn.Linear(lookback, horizon)
        self.trend = nn.Linear(lookback, horizon)

    def _add(self, x, change):
        """Returns `x` plus what a layer gave, without the trend of the sum."""
        x = x + self.dropout(change)
        return x - moving_average(x.transpose(1, 2), self.trend_length).transpose(1, 2)

    def forecast(self, variates):
        rows = variates.flatten(0, 1).unsqueeze(1)  # (B * C, 1, L)
        trend = moving_average(rows, self.trend_length)
        x = self.embedding(rows - trend).transpose(1, 2)  # (B * C, L, width)
        for attend, feed in zip(self.attention, self.feed, strict=True):
            x = self._add(x, attend(x))
            x = self._add(x, feed(x))
        x = self.season(self.summary(x).squeeze(-1)) + self.trend(trend.squeeze(1))
        return x.unflatten(0, variates.shape[:2])


TWINS = {
    "attention_forecaster": AttentionForecaster,
    "inverted_transformer": InvertedTransformer,
    "patch_transformer": PatchTransformer,
    "autocorrelation_forecaster": AutocorrelationForecaster,
}
