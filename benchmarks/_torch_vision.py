"""Vision attention in plain PyTorch for maps `(B, C, H, W)`: a function of channels."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class Module(nn.Module):
    """Parts and what they do, a function of them by name behind the maps."""

    def __init__(self, call, **parts):
        super().__init__()
        self.call, self.parts = call, nn.ModuleDict(parts)

    def forward(self, x):
        return self.call(x, **self.parts)


def spread(vector):
    """Returns `(B, C)` as `(B, C, 1, 1)`."""
    return vector[:, :, None, None]


def mean_and_max(x):
    """Returns mean and maximum over the second axis, `(B, 2, P, Q)`."""
    return torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)


def bottleneck(channels, hidden, outputs, *norm, bias=False, last_bias=None):
    """Returns two linear layers with an activation in between."""
    last_bias = bias if last_bias is None else last_bias
    return nn.Sequential(
        nn.Linear(channels, hidden, bias=bias),
        *norm,
        nn.ReLU(),
        nn.Linear(hidden, outputs, bias=last_bias),
    )


def select(logits, maps):
    """Returns the sum of maps, weighted for each channel by a softmax over them."""
    gates = torch.softmax(logits.unflatten(1, (len(maps), -1)), dim=1).unbind(1)
    return sum(m * spread(g) for m, g in zip(maps, gates, strict=True))


def SqueezeExcite(channels):
    def call(x, describe):
        return x * spread(torch.sigmoid(describe(x.mean((2, 3)))))

    return Module(call, describe=bottleneck(channels, -(-channels // 16), channels))


def EfficientChannelAttention(channels):
    size = int((math.log2(channels) + 1) / 2)
    size += 1 - size % 2

    def call(x, conv):
        gate = torch.sigmoid(conv(x.mean((2, 3)).unsqueeze(1)))
        return x * spread(gate.squeeze(1))

    return Module(call, conv=nn.Conv1d(1, 1, size, padding=size // 2, bias=False))


def CBAM(channels):
    def call(x, describe, conv):
        gate = describe(x.mean((2, 3))) + describe(x.amax((2, 3)))
        x = x * spread(torch.sigmoid(gate))
        return x * torch.sigmoid(conv(mean_and_max(x)))

    describe = bottleneck(channels, -(-channels // 16), channels)
    conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
    return Module(call, describe=describe, conv=conv)


def BAM(channels, dilation=4):
    def call(x, channel, spatial):
        gate = spread(channel(x.mean((2, 3)))) + spatial(x)
        return x + x * torch.sigmoid(gate)

    hidden = -(-channels // 16)
    channel = bottleneck(channels, hidden, channels, bias=True)
    reach = {"kernel_size": 3, "padding": dilation, "dilation": dilation}
    spatial = nn.Sequential(
        nn.Conv2d(channels, hidden, 1),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, **reach),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, **reach),
        nn.ReLU(),
        nn.Conv2d(hidden, 1, 1),
        nn.BatchNorm2d(1),
    )
    channel.append(nn.BatchNorm1d(channels))
    return Module(call, channel=channel, spatial=spatial)


def GlobalContext(channels):
    def call(x, logits, transform):
        weights = torch.softmax(logits(x).flatten(1), dim=-1)
        context = (x.flatten(2) @ weights.unsqueeze(-1)).squeeze(-1)
        return x + spread(transform(context))

    hidden = -(-channels // 16)
    sizes = channels, hidden, channels
    transform = bottleneck(*sizes, nn.LayerNorm(hidden), bias=True)
    logits = nn.Conv2d(channels, 1, 1, bias=False)
    return Module(call, logits=logits, transform=transform)


def NonLocal(channels):
    def call(x, query, key, value, output):
        maps = (query(x), key(x), value(x))
        flat = (m.flatten(2).transpose(1, 2).unsqueeze(1) for m in maps)
        seen = F.scaled_dot_product_attention(*flat, scale=1.0).squeeze(1)
        return x + output(seen.transpose(1, 2).unflatten(2, x.shape[2:]))

    hidden = -(-channels // 2)
    return Module(
        call,
        query=nn.Conv2d(channels, hidden, 1),
        key=nn.Conv2d(channels, hidden, 1, bias=False),
        value=nn.Conv2d(channels, hidden, 1),
        output=nn.Conv2d(hidden, channels, 1),
    )


def CoordinateAttention(channels):
    def call(x, reduce, norm, rows, columns):
        means = x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)
        both = F.hardswish(norm(reduce(torch.cat(means, dim=2))))
        down, across = both.split(x.shape[2:], dim=2)
        gate = torch.sigmoid(rows(down))
        return x * gate * torch.sigmoid(columns(across.transpose(2, 3)))

    hidden = max(8, -(-channels // 32))
    return Module(
        call,
        reduce=nn.Conv2d(channels, hidden, 1, bias=False),
        norm=nn.BatchNorm2d(hidden),
        rows=nn.Conv2d(hidden, channels, 1),
        columns=nn.Conv2d(hidden, channels, 1),
    )


def TripletAttention(_):
    def call(x, height_width, height_channel, width_channel):
        gate = height_width(mean_and_max(x))
        plane = height_channel(mean_and_max(x.permute(0, 3, 2, 1)))  # (B, 1, H, C)
        gate = gate + plane.permute(0, 3, 2, 1)
        plane = width_channel(mean_and_max(x.permute(0, 2, 3, 1)))  # (B, 1, W, C)
        return x * (gate + plane.permute(0, 3, 1, 2)) / 3

    def plane():
        conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(1), nn.Sigmoid())

    names = ("height_width", "height_channel", "width_channel")
    return Module(call, **{name: plane() for name in names})


def SimAM(_, regularization=1e-4):
    def call(x):
        squared = (x - x.mean((2, 3), keepdim=True)).square()
        others = x.shape[2] * x.shape[3] - 1
        variance = squared.sum((2, 3), keepdim=True) / others
        energy = squared / (4 * (variance + regularization)) + 0.5
        return x * torch.sigmoid(energy)

    return Module(call)


def GatherExcite(_, extent=2):
    def call(x):
        sizes = 2 * extent - 1, extent, extent - 1
        gathered = F.avg_pool2d(x, *sizes, count_include_pad=False)
        return x * F.interpolate(torch.sigmoid(gathered), size=x.shape[2:])

    return Module(call)


def SelectiveKernel(channels, branches=2, hidden=32):
    def call(x, branches, choose):
        maps = [branch(x) for branch in branches]
        return select(choose(sum(maps).mean((2, 3))), maps)

    def branch(i):
        conv = nn.Conv2d(channels, channels, 3, padding=i, dilation=i, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())

    parts = nn.ModuleList(branch(i) for i in range(1, branches + 1))
    sizes = channels, hidden, branches * channels
    return Module(
        call, branches=parts, choose=bottleneck(*sizes, nn.BatchNorm1d(hidden))
    )


def SplitAttention(channels, radix=2):
    def call(x, split, choose):
        maps = split(x).chunk(radix, dim=1)
        return select(choose(sum(maps).mean((2, 3))), maps)

    wide = radix * channels
    hidden = max(32, -(-wide // 4))
    conv = nn.Conv2d(channels, wide, 3, padding=1, groups=radix, bias=False)
    split = nn.Sequential(conv, nn.BatchNorm2d(wide), nn.ReLU())
    norm = nn.BatchNorm1d(hidden)
    choose = bottleneck(channels, hidden, wide, norm, last_bias=True)
    return Module(call, split=split, choose=choose)
