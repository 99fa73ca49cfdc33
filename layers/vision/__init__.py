"""Attention over images, feature maps and videos.

Inputs are `(B, H, W, C)`, or `(B, C, H, W)` with `data_format="channels_first"`; most
layers take `(B, T, C)` and `(B, D, H, W, C)` too. Letters: B batch, H height, W width,
C channels, N = H * W positions.

Each docstring states the cost at 64 channels on a 32 x 32 map: trainable parameters,
and FLOPs for one map. FLOPs are two for each multiply-add of a convolution, a dense
layer or a matrix product; pooling and element-wise work are not counted.
"""
