"""How a training is carried out: the flags of `train` that are no settings."""

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import os

from attention_zoo.recipes.core.errors import UserError

ON_JAX = ("data_parallel", "model_parallel")  # values of `distribute`


@dataclasses.dataclass(frozen=True)
class Options:
    """How a training is carried out; what is trained is the recipe's.

    Args:
        resume: Whether to go on from the checkpoints of a killed training.
        deterministic: Whether TensorFlow takes the operations that give the same bits
            in every run.
        mixed_precision: Whether to train in half precision, which is float16 on a GPU
            and bfloat16 elsewhere. Weights and the published model are float32.
        jit: Whether XLA compiles the training. None leaves it to the pipeline.
        distribute: None, `"mirrored"` (all devices of this machine, by TensorFlow),
            `"data_parallel"` (of one or several processes, by JAX) or
            `"model_parallel"` (weights split among devices of this process, by JAX).
        coordinator: `HOST:PORT` of process 0 of several.
        num_processes: Number of processes. None is one.
        process_id: Integer, this one of several.
        coordinator_timeout: Seconds that processes wait for each other.
        publish: Whether all runs are trained, and the entry is to be written.
        profile: None, or a folder for TensorBoard's trace of a few steps.
        tensorboard: None, or a folder for TensorBoard's logs.
    """

    resume: bool = False
    deterministic: bool = False
    mixed_precision: bool = False
    jit: bool | None = None
    distribute: str | None = None
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    coordinator_timeout: float = 60.0
    publish: bool = False
    profile: str | None = None
    tensorboard: str | None = None

    @property
    def on_jax(self):
        """Whether JAX trains, on one or several processes."""
        return self.distribute in ON_JAX

    def prepare(self, recipe, seed):
        """Checks what can be checked before the data are read; sets determinism.

        Args:
            recipe: The `Recipe`.
            seed: Integer, of all that draws before a model has its own seed.
        """
        for folder in filter(None, (self.profile, self.tensorboard)):
            if importlib.util.find_spec("tensorboard") is None:
                raise UserError(
                    "--profile and --tensorboard need the package 'tensorboard': "
                    "pip install 'attention-zoo[tune]'"
                )
            if os.path.lexists(folder) and not os.path.isdir(folder):
                raise UserError(f"{folder} is not a folder to write logs into")
        if self.deterministic:
            import keras
            import tensorflow as tf

            keras.utils.set_random_seed(seed)
            tf.config.experimental.enable_op_determinism()
        if self.distribute == "mirrored":
            from attention_zoo.recipes.distributed import devices as _distribute

            _distribute.check_batch(recipe, self.strategy().num_replicas_in_sync)

    def facts(self):
        """Returns what the card and the checkpoints note: all that is not usual."""
        values = {
            "deterministic": self.deterministic or None,
            "precision": self.precision() if self.mixed_precision else None,
            "jit": self.jit,
            "distribute": self.distribute,
        }
        if self.on_jax:
            values["processes"] = self.num_processes or 1
            values["backend"] = f"jax {importlib.metadata.version('jax')}"
        return {key: value for key, value in values.items() if value is not None}

    def precision(self):
        """Returns the name of the dtype policy of the training."""
        if not self.mixed_precision:
            return "float32"
        if self.on_jax:  # known before JAX has its devices, and to the publishing one
            return "mixed_bfloat16"
        import tensorflow as tf

        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        return "mixed_float16" if on_gpu else "mixed_bfloat16"

    def compiles(self, pipeline):
        """Returns whether XLA compiles the training step of a pipeline."""
        if self.on_jax:
            return True
        return pipeline.JIT_COMPILE if self.jit is None else self.jit

    def strategy(self):
        """Returns TensorFlow's strategy of distribution, or None."""
        if self.distribute != "mirrored":
            return None
        from attention_zoo.recipes.distributed import devices as _distribute

        return _distribute.mirrored()

    def parts(self):
        """Returns the `Parts` of a batch for several devices, or None for one."""
        if self.distribute is None:
            return None
        if self.on_jax:
            from attention_zoo.recipes.distributed import hosts as _hosts

            return _hosts.parts(self.distribute)
        from attention_zoo.recipes.distributed import devices as _distribute

        return _distribute.Parts(self.strategy().num_replicas_in_sync)

    def optimizer(self):
        """Returns the class of AdamW that fits the devices."""
        import keras

        if self.distribute != "mirrored":
            return keras.optimizers.AdamW
        from attention_zoo.recipes.distributed import devices as _distribute

        return _distribute.AdamW

    @contextlib.contextmanager
    def scope(self):
        """Builds a model as it is trained: its precision and its devices."""
        import keras

        if self.on_jax:
            from attention_zoo.recipes.distributed import hosts as _hosts

            _hosts.activate(self.distribute)
        before, strategy = keras.config.dtype_policy(), self.strategy()
        if self.mixed_precision:
            keras.config.set_dtype_policy(self.precision())
        try:
            with strategy.scope() if strategy else contextlib.nullcontext():
                yield
        finally:
            keras.config.set_dtype_policy(before)

    def loggers(self, run):
        """Returns the callbacks that write logs; of several processes, 0 writes.

        Args:
            run: Name of the run, a folder in that of the logs.
        """
        import keras

        made: list = []
        if self.process_id:
            return made
        if self.tensorboard:
            folder = os.path.join(self.tensorboard, run)
            made.append(keras.callbacks.TensorBoard(folder, write_graph=False))
        if self.profile:
            folder = os.path.join(self.profile, run)
            made.append(
                keras.callbacks.TensorBoard(
                    folder, write_graph=False, profile_batch=(2, 11)
                )
            )
        return made
