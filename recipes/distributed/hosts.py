"""Training on several processes and devices: keras.distribution on JAX.

Every process makes the same global batches and feeds the rows of its devices. JAX sums
gradients, losses and metrics over all. Process 0 alone writes and prints; in the end it
hands the trained runs over to a fresh process on TensorFlow, which publishes.
"""

import contextlib
import io
import json
import os
import sys
import time
import traceback

import keras
import numpy as np

from attention_zoo.recipes.cards import card as _card
from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.core.errors import UserError, one_line
from attention_zoo.recipes.distributed import devices as _distribute
from attention_zoo.recipes.distributed import processes as _processes
from attention_zoo.recipes.distributed.rendezvous import Meeting, Missing
from attention_zoo.recipes.engine import checkpoints as _checkpoint
from attention_zoo.recipes.engine import publishing as _export

STOP_SECONDS = 5  # for the launcher to stop a process that has lost another


def train(recipe, seeds, data_dir, out, smoke, options):
    """Trains all runs of a recipe, which stay in the folder of its checkpoints.

    Called in every process with the same arguments but `options.process_id`.

    Returns:
        Whether this is process 0, whose part is the rest.
    """
    from attention_zoo.recipes.engine import trainer as _run

    _processes.die_with_parent()
    _distribute.check_batch(recipe, options.num_processes or 1, "processes")
    count, first = options.num_processes or 1, not options.process_id
    with contextlib.ExitStack() as stack:
        if not first:
            silence = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        try:
            with met(recipe, seeds, smoke, options):
                if first:
                    _export.check_target(out, recipe.name)
                hide_gpus_from_tensorflow()
                options.prepare(recipe, seeds[0])
                pipeline = _recipe.load_pipeline(recipe, data_dir, smoke)
                pipeline.batches("train", seed=0)  # what is missing shows now
                own = first and _checkpoint.Checkpoints(
                    _checkpoint.folder_of(out, recipe.name),
                    _run.fingerprint(recipe, pipeline, seeds, options),
                    options.resume,
                )
        except Missing:
            if options.resume and trained(recipe, seeds, out):
                return True  # killed while it published: the others have ended
            raise
        connect(recipe, options)
        with ending_all(own, count):
            _run.fit_all(recipe, pipeline, seeds, options, Kept(own))
            disconnect()
    return first


def trained(recipe, seeds, out):
    """Returns whether all runs of a training have come to their end."""
    from attention_zoo.recipes.engine import trainer as _run

    folder = _checkpoint.folder_of(out, recipe.name)
    labels = ["model"] + [_run.TWIN] * (recipe.config.get("attention") is not None)
    names = [f"{label}-seed{seed}.npz" for label in labels for seed in seeds]
    return all((folder / name).exists() for name in names)


def hand_over(words):
    """Becomes a process on TensorFlow that publishes the trained runs.

    Args:
        words: List of the arguments of this one's command.
    """
    sys.stdout.flush()
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    program = [*_processes.PROGRAM, *words, "--publish"]
    os.execve(program[0], program, environment)


# === Who takes part ===


@contextlib.contextmanager
def met(recipe, seeds, smoke, options):
    """Runs a block in all processes once they have met; it fails in all or in none."""
    if options.coordinator is None:
        yield
        return
    meeting = Meeting(
        options.coordinator,
        options.num_processes,
        options.process_id,
        options.coordinator_timeout,
    )
    with contextlib.closing(meeting):
        meeting.meet(
            {
                "recipe": recipe.name,
                "seeds": list(seeds),
                "smoke": smoke,
                "settings": recipe.settings(),
                "versions": _card.versions(),
                "execution": options.facts(),
            }
        )
        with meeting.agreeing():
            yield


def hide_gpus_from_tensorflow():
    """Leaves all memory of the GPUs to JAX."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


def connect(recipe, options):
    """Connects the processes by JAX, and checks the batch against all devices."""
    import jax

    if options.coordinator is not None:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        # It would take SIGTERM for news, and the process would not end.
        jax.config.update("jax_enable_preemption_service", False)
        keras.utils.set_random_seed(0)  # or Keras agrees on one
        keras.distribution.initialize(
            options.coordinator, options.num_processes, options.process_id
        )
    devices, count = jax.device_count(), jax.process_count()
    try:
        if options.distribute == "data_parallel":
            _distribute.check_batch(recipe, devices)
        owners = [device.process_index for device in jax.devices()]
        if {owners.count(process) for process in range(count)} != {devices // count}:
            raise UserError(
                f"{devices} devices are not shared out evenly to {count} processes: "
                "CUDA_VISIBLE_DEVICES gives each the same number"
            )
    except UserError:  # the same in all processes
        disconnect()
        raise
    print(
        f"{options.distribute} on {devices} device{'s' * (devices != 1)} of {count} "
        f"process{'es' * (count != 1)}",
        flush=True,
    )


def disconnect():
    """Waits for the other processes to come here too, and parts from them."""
    import jax

    jax.distributed.shutdown()


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
        import jax

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
    """Returns the `Parts` of a batch for the devices of all processes."""
    import jax

    if how == "model_parallel":
        return _distribute.Parts(1)
    return _distribute.Parts(
        jax.device_count(), jax.process_index(), jax.process_count()
    )


@contextlib.contextmanager
def ending_all(kept, count):
    """Ends the process at once when the block fails, as the others cannot go on.

    Without it JAX waits for minutes for those that have ended.
    """
    try:
        yield
    except BaseException as error:
        if count == 1:
            raise
        import jax

        code, message = 2, one_line(error)
        if isinstance(error, KeyboardInterrupt):
            code, message = 130, "interrupted"
        elif isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error):
            if _processes.PARENT in os.environ:
                time.sleep(STOP_SECONDS)
            message = f"another process was lost, or JAX failed: {one_line(error, 160)}"
        elif not isinstance(error, UserError):
            code = 1
            traceback.print_exc()
        print(f"attention-zoo: error: {message}", file=sys.stderr)
        if kept:
            kept.tell()
        sys.stdout.flush()
        os._exit(code)


# === Checkpoints ===


class Kept:
    """The checkpoints of process 0, which the others read over the network.

    Args:
        own: The `Checkpoints` in process 0; in the others something false.
    """

    def __init__(self, own):
        self._own = own

    @property
    def folder(self):
        """The hidden folder, for messages."""
        return self._own.folder if self._own else "process 0"

    def load_finished(self, run):
        """Returns a run that has come to its end, or None."""
        return sent_to_all(self._own and self._own.load_finished(run))

    def load_epoch(self, run):
        """Returns the last checkpoint of a run, or None."""
        return sent_to_all(self._own and self._own.load_epoch(run))

    def save_epoch(self, *record):
        """Writes the checkpoint of an epoch."""
        if self._own:
            self._own.save_epoch(*record)

    def finish(self, *record):
        """Writes a run that has come to its end."""
        if self._own:
            self._own.finish(*record)


def sent_to_all(record):
    """Returns the record of process 0, facts and arrays or None, in all processes."""
    from jax.experimental import multihost_utils

    content = b""
    if record:
        file, (facts, arrays) = io.BytesIO(), record
        np.savez(file, facts=np.array(json.dumps(facts)), **arrays)
        content = file.getvalue()
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    if not size:
        return None
    held = np.zeros(size, "uint8")
    held[: len(content)] = np.frombuffer(content, "uint8")
    held = np.asarray(multihost_utils.broadcast_one_to_all(held))
    arrays = dict(np.load(io.BytesIO(held.tobytes()), allow_pickle=False))
    return json.loads(str(arrays.pop("facts"))), arrays
