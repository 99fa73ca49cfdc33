"""Twins: how they are found, counted, and given the weights of a Keras model."""

import warnings

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import _torch_models, _torch_series, _torch_translators

TWINS = {**_torch_models.TWINS, **_torch_series.TWINS, **_torch_translators.TWINS}
# Arguments of the zoo's builders that a twin does not have: it has one value of each.
FIXED = {"attention", "quantiles", "share_embeddings", "use_skip"}
FUSED = {"qkv": ("query", "key", "value"), "kv": ("key", "value")}


def make_twin(name, config):
    """Returns the twin of the zoo's model `name` with the builder's arguments."""
    arguments = {k: v for k, v in config.items() if k not in FIXED}
    return TWINS[name](**arguments)


def count_parameters(twin):
    """Returns the number of trainable parameters.

    An LSTM of PyTorch adds two biases where Keras has one: `bias_hh` is left out. A GRU
    has both in Keras too.
    """
    count = sum(p.numel() for p in twin.parameters() if p.requires_grad)
    for module in twin.modules():
        if isinstance(module, nn.LSTM):
            extra = [p for n, p in module.named_parameters() if "bias_hh" in n]
            count -= sum(p.numel() for p in extra)
    return count


def count_flops(twin, inputs):
    """Returns the FLOPs of products and convolutions in a forward pass.

    Counted without kernels that hide what they compute; transforms and what is done
    element by element do not count.
    """
    twin.eval()  # in which nothing moves
    counter = FlopCounterMode(display=False)
    with (
        warnings.catch_warnings(action="ignore"),  # of a setting that is left alone
        torch.backends.mkldnn.flags(enabled=False),
        sdpa_kernel(SDPBackend.MATH),
        counter,
    ):
        twin(*inputs)
    return counter.get_total_flops()


def copy_weights(model, twin):
    """Gives a twin the weights of a Keras model.

    Raises:
        AssertionError: for a weight that one of them has and the other has not.
    """
    from keras import ops

    weights = {
        variable.path.replace("/", "_"): ops.convert_to_numpy(variable)
        for variable in model.weights
    }
    with torch.no_grad():
        for path, module in twin.named_modules():
            name = path.replace(".", "_")
            for own, theirs in getattr(twin, "renames", {}).items():
                name = theirs + name[len(own) :] if name.startswith(own) else name
            _copy_module(module, name, weights)
    assert not weights, f"the twin lacks {sorted(weights)}"


def _copy_module(module, name, weights):
    """Takes what one module needs out of `weights`, a dict of arrays."""
    if isinstance(module, nn.Linear):
        _copy_linear(module, name, weights)
    elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
        shape = *module.kernel_size, module.in_channels, module.out_channels
        kernel = _tensor(weights.pop(f"{name}_kernel")).reshape(shape)
        module.weight.copy_(kernel.movedim((-1, -2), (0, 1)))
        if module.bias is not None:
            module.bias.copy_(_tensor(weights.pop(f"{name}_bias")))
    elif isinstance(module, (nn.LayerNorm, nn.BatchNorm2d)):
        module.weight.copy_(_tensor(weights.pop(f"{name}_gamma")))
        module.bias.copy_(_tensor(weights.pop(f"{name}_beta")))
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(_tensor(weights.pop(f"{name}_moving_mean")))
            module.running_var.copy_(_tensor(weights.pop(f"{name}_moving_variance")))
    elif isinstance(module, nn.Embedding):
        module.weight.copy_(_tensor(weights.pop(f"{name}_embeddings")))
    elif isinstance(module, (nn.LSTM, nn.GRU, nn.GRUCell)):
        _copy_recurrent(module, name, weights)
    else:
        for key, parameter in module.named_parameters(recurse=False):
            joined = f"{name}_{key}" if name else key
            parameter.copy_(_tensor(weights.pop(joined)))


def _copy_linear(module, name, weights):
    """As `_copy_module`; a fused layer takes the kernels of its parts."""
    front, _, last = name.rpartition("_")
    parts = [f"{front}_{part}" for part in FUSED.get(last, (last,))]
    kernels = [
        _tensor(weights.pop(f"{part}_kernel" if f"{part}_kernel" in weights else part))
        for part in (parts if front else [name])
    ]
    kernels = [kernel.reshape(module.in_features, -1) for kernel in kernels]
    module.weight.copy_(torch.cat(kernels, 1).T)
    if module.bias is None:
        return
    if front and f"{parts[0]}_bias" not in weights:  # of a score, not of its keys
        parts = [front]
    biases = [weights.pop(f"{part}_bias") for part in (parts if front else [name])]
    module.bias.copy_(torch.cat([_tensor(bias).flatten() for bias in biases]))


def _copy_recurrent(module, name, weights):
    """As `_copy_module`: kernel, recurrent kernel and bias of each direction."""
    arrays = [weights.pop(key) for key in list(weights) if key.startswith(f"{name}_")]
    cell = isinstance(module, nn.GRUCell)
    ends = [""] if cell else ["_l0", "_l0_reverse"][: len(arrays) // 3]
    for i, end in enumerate(ends):
        kernel, recurrent, bias = map(_tensor, arrays[3 * i : 3 * i + 3])
        if isinstance(module, nn.LSTM):
            bias = torch.stack([bias, torch.zeros_like(bias)])
        else:  # update, reset, new in Keras; reset, update, new in PyTorch
            update, reset, new = torch.arange(kernel.shape[1]).chunk(3)
            order = torch.cat([reset, update, new])
            kernel, recurrent, bias = (x[:, order] for x in (kernel, recurrent, bias))
        getattr(module, f"weight_ih{end}").copy_(kernel.T)
        getattr(module, f"weight_hh{end}").copy_(recurrent.T)
        getattr(module, f"bias_ih{end}").copy_(bias[0])
        getattr(module, f"bias_hh{end}").copy_(bias[1])


def _tensor(array):
    """Returns an array as a tensor of its own."""
    return torch.from_numpy(array.copy())
