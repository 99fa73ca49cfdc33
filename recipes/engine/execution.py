"""How a training is carried out: the flags of `train` that are no settings."""

import argparse
import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import os
import typing

from attention_zoo.recipes.core.errors import UserError

ON_JAX = ("data_parallel", "model_parallel")  # values of `distribute`


def flag(default, text="", **more):
    """Returns a field of `Options` that is a flag of `train` with this help."""
    return dataclasses.field(default=default, metadata={"help": text, **more})


@dataclasses.dataclass(frozen=True)
class Options:
    """How a training is carried out; what is trained is the recipe's.

    Each field is a flag of `train`, and its help says what it does.
    """

    resume: bool = flag(
        False,
        "goes on with a training that did not end, or repeats its failed steps",
    )
    name: str | None = flag(
        None, "another name for the entry than the recipe's", metavar="NAME"
    )
    force: bool = flag(False, "replaces the model that has the name already")
    deterministic: bool = flag(False, "the same bits in every run")
    mixed_precision: bool = flag(
        False, "trains in float16 on a GPU, in bfloat16 elsewhere"
    )
    jit: bool | None = flag(
        None, "whether XLA compiles the training (default: as the recipe's data do)"
    )
    distribute: str | None = flag(
        None,
        "mirrored: on all devices of this machine, by TensorFlow; data_parallel: on "
        "those of one or several processes, by JAX; the global batch is the same; "
        "model_parallel: weights split among the devices of one process, by JAX",
        choices=("mirrored", *ON_JAX),
        metavar="HOW",
    )
    launch: int | None = flag(
        None,
        "starts N processes on this machine, and implies data_parallel",
        metavar="N",
    )
    coordinator: str | None = flag(
        None,
        "where process 0 of several listens, or auto under Slurm and Open MPI; implies "
        "data_parallel",
        metavar="HOST:PORT",
    )
    num_processes: int | None = flag(None, "how many processes there are", metavar="N")
    process_id: int | None = flag(None, "which one this is, from 0 on", metavar="I")
    coordinator_timeout: float = flag(
        300.0,
        "how long processes wait for each other, once each has its data (default: 300)",
        metavar="SECONDS",
    )
    # Process 0 of a training on JAX starts itself again with it, on TensorFlow.
    publish: bool = flag(False, argparse.SUPPRESS)
    profile: str | None = flag(
        None, "a TensorBoard trace of a few steps", metavar="DIR"
    )
    tensorboard: str | None = flag(None, "TensorBoard logs", metavar="DIR")

    @classmethod
    def add_to(cls, command):
        """Adds a flag for each field to an `argparse.ArgumentParser`."""
        for field in dataclasses.fields(cls):
            (kind,) = {*typing.get_args(field.type), field.type} & {
                bool, int, float, str,
            }  # fmt: skip
            more: dict = {"type": kind}
            if kind is bool:
                more = {"action": "store_true"}
                if field.default is None:
                    more = {"action": argparse.BooleanOptionalAction}
            name = f"--{field.name.replace('_', '-')}"
            command.add_argument(name, default=field.default, **more, **field.metadata)

    @classmethod
    def of(cls, args):
        """Returns the options among parsed arguments."""
        names = [field.name for field in dataclasses.fields(cls)]
        values = {name: getattr(args, name) for name in names}
        return cls(**values | {"resume": args.resume or args.publish})

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
            from attention_zoo.recipes.distributed import devices

            devices.check_batch(recipe, self.strategy().num_replicas_in_sync)

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
        from attention_zoo.recipes.distributed import devices

        return devices.mirrored()

    def parts(self):
        """Returns the `Parts` of a batch for several devices, or None for one."""
        if self.distribute is None:
            return None
        if self.on_jax:
            from attention_zoo.recipes.distributed import sharding

            return sharding.parts(self.distribute)
        from attention_zoo.recipes.distributed import devices

        return devices.Parts(self.strategy().num_replicas_in_sync)

    def optimizer(self):
        """Returns the class of AdamW that fits the devices."""
        import keras

        if self.distribute != "mirrored":
            return keras.optimizers.AdamW
        from attention_zoo.recipes.distributed import devices

        return devices.AdamW

    @contextlib.contextmanager
    def scope(self):
        """Builds a model as it is trained: its precision and its devices."""
        import keras

        if self.on_jax:
            from attention_zoo.recipes.distributed import sharding

            sharding.activate(self.distribute)
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
