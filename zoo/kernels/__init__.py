"""Layers that use fused kernels of TensorFlow on a CPU."""
