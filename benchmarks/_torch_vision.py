"""Vision attention in plain PyTorch, as one would write it, for maps `(B, C, H, W)`."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def spread(vector):
    """Returns `(B, C)` as `(B, C, 1, 1)`."""
    return vector[:, :, None, None]


def mean_and_max(x):
    """Returns mean and maximum over the second axis, `(B, 2, P, Q)`."""
    return torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)


def select(logits, maps):
    """Returns the sum of maps, weighted for each channel by a softmax over them."""
    gates = torch.softmax(logits.unflatten(1, (len(maps), -1)), dim=1).unbind(1)
    return sum(m * spread(g) for m, g in zip(maps, gates, strict=True))


class SqueezeExcite(nn.Module):
    def __init__(self, channels, ratio=16):
        super().__init__()
        hidden = -(-channels // ratio)
        self.describe = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=False),
        )

    def forward(self, x):
        return x * spread(torch.sigmoid(self.describe(x.mean((2, 3)))))


class EfficientChannelAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        size = int((math.log2(channels) + 1) / 2)
        size += 1 - size % 2
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, x):
        gate = torch.sigmoid(self.conv(x.mean((2, 3)).unsqueeze(1)))
        return x * spread(gate.squeeze(1))


class CBAM(SqueezeExcite):
    def __init__(self, channels):
        super().__init__(channels)
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        gate = self.describe(x.mean((2, 3))) + self.describe(x.amax((2, 3)))
        x = x * spread(torch.sigmoid(gate))
        return x * torch.sigmoid(self.conv(mean_and_max(x)))


class BAM(nn.Module):
    def __init__(self, channels, ratio=16, dilation=4):
        super().__init__()
        hidden = -(-channels // ratio)
        self.channel = nn.Sequential(
            nn.Linear(channels, hidden),
            nn.ReLU(),
            nn.Linear(hidden, channels),
            nn.BatchNorm1d(channels),
        )
        reach = {"kernel_size": 3, "padding": dilation, "dilation": dilation}
        self.spatial = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, **reach),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, **reach),
            nn.ReLU(),
            nn.Conv2d(hidden, 1, 1),
            nn.BatchNorm2d(1),
        )

    def forward(self, x):
        channel = spread(self.channel(x.mean((2, 3))))
        return x + x * torch.sigmoid(channel + self.spatial(x))


class GlobalContext(nn.Module):
    def __init__(self, channels, ratio=16):
        super().__init__()
        hidden = -(-channels // ratio)
        self.logits = nn.Conv2d(channels, 1, 1, bias=False)
        self.transform = nn.Sequential(
            nn.Linear(channels, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, channels),
        )

    def forward(self, x):
        weights = torch.softmax(self.logits(x).flatten(1), dim=-1)
        context = (x.flatten(2) @ weights.unsqueeze(-1)).squeeze(-1)
        return x + spread(self.transform(context))


class NonLocal(nn.Module):
    def __init__(self, channels, ratio=2):
        super().__init__()
        hidden = -(-channels // ratio)
        self.query = nn.Conv2d(channels, hidden, 1)
        self.key = nn.Conv2d(channels, hidden, 1, bias=False)
        self.value = nn.Conv2d(channels, hidden, 1)
        self.output = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        maps = (self.query(x), self.key(x), self.value(x))
        flat = (m.flatten(2).transpose(1, 2).unsqueeze(1) for m in maps)
        seen = F.scaled_dot_product_attention(*flat, scale=1.0).squeeze(1)
        return x + self.output(seen.transpose(1, 2).unflatten(2, x.shape[2:]))


class CoordinateAttention(nn.Module):
    def __init__(self, channels, ratio=32):
        super().__init__()
        hidden = max(8, -(-channels // ratio))
        self.reduce = nn.Conv2d(channels, hidden, 1, bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.rows = nn.Conv2d(hidden, channels, 1)
        self.columns = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        rows = x.mean(3, keepdim=True)
        columns = x.mean(2, keepdim=True).transpose(2, 3)
        both = self.reduce(torch.cat([rows, columns], dim=2))
        both = F.hardswish(self.norm(both))
        rows, columns = both.split(x.shape[2:], dim=2)
        gate = torch.sigmoid(self.rows(rows))
        return x * gate * torch.sigmoid(self.columns(columns.transpose(2, 3)))


class TripletAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.planes = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(2, 1, 7, padding=3, bias=False),
                nn.BatchNorm2d(1),
                nn.Sigmoid(),
            )
            for _ in range(3)
        )

    def forward(self, x):
        height_width, height_channel, width_channel = self.planes
        gate = height_width(mean_and_max(x))
        plane = height_channel(mean_and_max(x.permute(0, 3, 2, 1)))  # (B, 1, H, C)
        gate = gate + plane.permute(0, 3, 2, 1)
        plane = width_channel(mean_and_max(x.permute(0, 2, 3, 1)))  # (B, 1, W, C)
        return x * (gate + plane.permute(0, 3, 1, 2)) / 3


class SimAM(nn.Module):
    def __init__(self, channels, regularization=1e-4):
        super().__init__()
        self.regularization = regularization

    def forward(self, x):
        squared = (x - x.mean((2, 3), keepdim=True)).square()
        others = x.shape[2] * x.shape[3] - 1
        variance = squared.sum((2, 3), keepdim=True) / others
        energy = squared / (4 * (variance + self.regularization)) + 0.5
        return x * torch.sigmoid(energy)


class GatherExcite(nn.Module):
    def __init__(self, channels, extent=2):
        super().__init__()
        self.extent = extent

    def forward(self, x):
        reach = self.extent - 1
        gathered = F.avg_pool2d(
            x, 2 * reach + 1, self.extent, reach, count_include_pad=False
        )
        return x * F.interpolate(torch.sigmoid(gathered), size=x.shape[2:])


class SelectiveKernel(nn.Module):
    def __init__(self, channels, branches=2, hidden=32):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=i, dilation=i, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            )
            for i in range(1, branches + 1)
        )
        self.choose = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, branches * channels, bias=False),
        )

    def forward(self, x):
        maps = [branch(x) for branch in self.branches]
        return select(self.choose(sum(maps).mean((2, 3))), maps)


class SplitAttention(nn.Module):
    def __init__(self, channels, radix=2, ratio=4):
        super().__init__()
        self.radix, wide = radix, radix * channels
        hidden = max(32, -(-wide // ratio))
        self.split = nn.Sequential(
            nn.Conv2d(channels, wide, 3, padding=1, groups=radix, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
        )
        self.choose = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, wide),
        )

    def forward(self, x):
        maps = self.split(x).chunk(self.radix, dim=1)
        return select(self.choose(sum(maps).mean((2, 3))), maps)
