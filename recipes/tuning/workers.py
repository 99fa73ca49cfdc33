"""Distributed search: keras-tuner's chief and its workers, here or on a cluster."""

import os
import subprocess
import time
from concurrent import futures

import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief, oracle_client

from attention_zoo.recipes.distributed import processes as _processes
from attention_zoo.recipes.core.errors import UserError

VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
CONNECT_SECONDS = 120  # for a chief to answer at first
ANSWER_SECONDS = 120  # and later on
SILENT_SECONDS = 120  # without a sign of life a worker counts as lost
FAREWELL_SECONDS = 15  # for workers to hear that the search is over
PROGRAM = _processes.PROGRAM
START_ATTEMPTS = 3  # of workers that die before their first trial


def role():
    """Returns `(tuner id, address)` where the environment names a cluster, or None."""
    given = {name: os.environ.get(name, "") for name in VARIABLES}
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(VARIABLES):
        return None
    if missing:
        raise UserError(f"a cluster needs {', '.join(VARIABLES)}: set {missing[0]} too")
    name, host, port = given.values()
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"KERASTUNER_ORACLE_PORT must be a port, received '{port}'")
    return name, f"{host}:{port}"


# === The chief ===


class Servicer(oracle_chief.OracleServicer):
    """keras-tuner's chief, which also notes when a trial was last heard of."""

    def __init__(self, oracle):
        super().__init__(oracle)
        self.heard = {}

    def CreateTrial(self, request, context):
        response = super().CreateTrial(request, context)
        self.heard[response.trial.trial_id] = time.monotonic()
        return response

    def GetTrial(self, request, context):
        self.heard[request.trial_id] = time.monotonic()
        return super().GetTrial(request, context)

    def release_silent(self):
        """Takes trials back from workers that have fallen silent; yields messages."""
        now = time.monotonic()
        for tuner_id, trial in list(self.oracle.ongoing_trials.items()):
            silence = now - self.heard.setdefault(trial.trial_id, now)
            if silence > SILENT_SECONDS:
                reason = f"worker {tuner_id} was silent for {silence:.0f} s"
                self.oracle.release(tuner_id, reason)
                yield f"{reason}: its trial {trial.trial_id} goes to another one"


class Chief:
    """Serves an oracle to workers.

    Args:
        oracle: The oracle.
        address: `host:port` to listen on; port 0 takes a free one.
    """

    def __init__(self, oracle, address):
        self.oracle = oracle
        self.servicer = Servicer(oracle)
        self.server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=4),
            options=[("grpc.so_reuseport", 0)],  # or two chiefs could share a port
        )
        service = protos.get_service_grpc()
        service.add_OracleServicer_to_server(self.servicer, self.server)
        host, _, port = address.rpartition(":")
        try:
            self.port = self.server.add_insecure_port(address)
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise UserError(
                f"cannot listen on {address}: port {port} is taken, or {host} is no "
                "address of this machine; set KERASTUNER_ORACLE_PORT to a free port"
            )

    def serve(self, on_end, crew=None):
        """Serves until all trials have ended and the workers know.

        Args:
            on_end: Function without arguments, called after trials have ended.
            crew: The `Crew` of local workers, or None on a cluster.
        """
        self.server.start()
        ended = len(self.oracle.end_order)
        try:
            while not self._over():
                time.sleep(0.1)
                if crew is not None:
                    crew.look_after(self.oracle)
                for message in self.servicer.release_silent():
                    print(message, flush=True)
                if len(self.oracle.end_order) > ended:
                    ended = len(self.oracle.end_order)
                    on_end()
            self._say_farewell(crew)
        finally:
            if crew is not None:
                crew.stop()
            self.server.stop(grace=1).wait()

    def _over(self):
        finished = self.oracle.finished()
        if self.oracle.ongoing_trials:
            return False
        return finished or self.servicer.stop_triggered

    def _say_farewell(self, crew):
        """Waits until the workers have heard that there are no more trials."""
        until = time.monotonic() + FAREWELL_SECONDS
        while time.monotonic() < until:
            if not (crew.working() if crew is not None else self.oracle.tuner_ids):
                return
            time.sleep(0.1)


# === Workers on this machine ===


class Crew:
    """The worker processes of this machine; a dead one is replaced.

    Args:
        count: Integer, how many work at the same time.
        command: List of the arguments of `attention-zoo` for a worker.
        port: Port of the chief.
        logs: Path of the folder for what they print.
    """

    def __init__(self, count, command, port, logs):
        self._command, self._port, self._logs = command, port, logs
        self._processes = {}
        self._started = self._false_starts = 0
        for _ in range(count):
            self._start()

    def _start(self):
        name = f"worker{self._started}"
        self._started += 1
        self._logs.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            **dict(zip(VARIABLES, (name, "127.0.0.1", str(self._port)), strict=True)),
            _processes.PARENT: str(os.getpid()),
            "no_grpc_proxy": "127.0.0.1",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # they share what there is
        }
        with open(self._log(name), "wb") as log:
            self._processes[name] = subprocess.Popen(
                [*PROGRAM, *self._command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the chief
            )
        process = self._processes[name].pid
        print(f"{name} is process {process}, log in {self._log(name)}", flush=True)

    def _log(self, name):
        return self._logs / f"{name}.log"

    def working(self):
        """Returns whether a worker is still there."""
        return any(p.poll() is None for p in self._processes.values())

    def look_after(self, oracle):
        """Takes trials back from dead workers and starts others in their place."""
        for name, process in list(self._processes.items()):
            code = process.poll()
            if code is None:
                continue
            del self._processes[name]
            if code == 0:
                continue  # it was told that there are no more trials
            how = _processes.how_it_ended(code)
            trial = oracle.release(name, f"its worker {name} died ({how})")
            self._false_starts = 0 if trial is not None else self._false_starts + 1
            hopeless = code == 2 and trial is None  # no data, say
            if hopeless or self._false_starts >= START_ATTEMPTS:
                raise UserError(f"{name} ended with {how}: {self._last_words(name)}")
            lost = f" in trial {trial}" if trial is not None else ""
            print(f"{name} died{lost} ({how}), another one takes its place", flush=True)
            self._start()

    def _last_words(self, name):
        lines = self._log(name).read_text(errors="replace").strip().splitlines()
        return (lines[-1] if lines else "").removeprefix("attention-zoo: error: ")

    def stop(self):
        """Ends the workers that are left."""
        _processes.stop(self._processes.values())


# === A worker ===


def wait_for_chief(address):
    """Returns when a chief answers at an address, or raises `UserError`."""
    print(f"waiting for the chief at {address} ...", flush=True)
    channel = grpc.insecure_channel(address)
    try:
        grpc.channel_ready_future(channel).result(timeout=CONNECT_SECONDS)
    except grpc.FutureTimeoutError:
        raise UserError(
            f"no chief answers at {address} after {CONNECT_SECONDS} s: start one with "
            "KERASTUNER_TUNER_ID=chief, or mend KERASTUNER_ORACLE_IP and _PORT"
        ) from None
    finally:
        channel.close()


def work(tuner, address):
    """Runs trials for the chief until it has no more.

    Args:
        tuner: The `Tuner`, made with the environment of a worker.
        address: `host:port` of the chief.
    """
    _processes.die_with_parent()
    oracle_client.TIMEOUT = ANSWER_SECONDS
    try:
        theirs = {p.name for p in tuner.oracle.get_space().space}
        own = {p.name for p in tuner.space.space}
        if theirs != own:
            raise UserError(
                f"the chief at {address} searches over {', '.join(sorted(theirs))}, "
                f"this worker over {', '.join(sorted(own))}: give both the same command"
            )
        tuner.data.of(tuner.job.recipe)  # a missing data set ends the worker
        tuner.search()
    except grpc.RpcError as error:
        raise UserError(
            f"the chief at {address} does not answer as a chief of keras-tuner "
            f"({error.code().name})"
        ) from error
