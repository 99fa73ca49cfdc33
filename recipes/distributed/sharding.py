"""keras.distribution on JAX: which device holds what of batches and weights."""

import jax
import keras

from attention_zoo.recipes.distributed import devices


def activate(how):
    """Makes Keras share out what it computes; `clear_session` undoes it.

    Args:
        how: `"data_parallel"` or `"model_parallel"`.
    """
    if how == "model_parallel":
        distribution = SplitModel()
    else:
        distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)


class SplitModel(keras.distribution.ModelParallel):
    """Splits kernels and embeddings among the devices of this process.

    Each is split along its last axis that divides: the units of a dense layer, the
    heads or their size in attention. What has no such axis is whole on every device,
    and so is the batch. The optimizer's variables lie where their weights do.
    """

    def __init__(self):
        names = [f"{device.platform}:{device.id}" for device in jax.local_devices()]
        mesh = keras.distribution.DeviceMesh((1, len(names)), ("batch", "model"), names)
        super().__init__(
            layout_map=keras.distribution.LayoutMap(mesh),
            batch_dim_name="batch",
            auto_shard_dataset=False,
        )

    def get_variable_layout(self, variable):
        layout = super().get_variable_layout(variable)
        if not variable.path.endswith(("kernel", "embeddings")):
            return layout
        count = self.device_mesh.shape[1]
        splits = [i for i, size in enumerate(variable.shape) if size % count == 0]
        axes: list = [None] * len(variable.shape)
        if splits:
            axes[splits[-1]] = "model"
        return keras.distribution.TensorLayout(axes, self.device_mesh)


def parts(how):
    """Returns the `devices.Parts` of a batch for the devices of all processes."""
    if how == "model_parallel":
        return devices.Parts(1)
    return devices.Parts(jax.device_count(), jax.process_index(), jax.process_count())
