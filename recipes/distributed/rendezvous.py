"""How the processes of one training meet before JAX connects them.

JAX ends a process hard where an id is there twice or nothing answers. So the processes
meet on the coordinator's port first, in lines of JSON: who is there, then whether all
can begin. Process 0 listens, and leaves the port to JAX.
"""

import contextlib
import json
import select
import socket
import time
import typing

from attention_zoo.recipes.core.errors import UserError, one_line
from attention_zoo.recipes.engine.checkpoints import differences

MARK = "attention-zoo training"
HELLO_SECONDS = 5  # for a process that has connected to say who it is
LONGEST = 1 << 20  # bytes of a line


def parse_address(text):
    """Returns `(host, port)` of `HOST:PORT`, or raises `UserError`."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    number = int(port) if port.isascii() and port.isdecimal() else 0
    if (
        not host
        or any(c.isspace() or c in "/@" for c in host)
        or not 0 < number < 65536
    ):
        raise UserError(
            f"--coordinator takes HOST:PORT, such as 10.0.0.1:12345, received '{text}'"
        )
    return host, number


class Missing(UserError):
    """Process 0 has waited for others in vain."""


class Line:
    """A connection that takes dicts, each as a line of JSON."""

    def __init__(self, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connection, self._held = connection, b""

    def send(self, message):
        """Sends a dict; whether the other has gone shows when it should answer."""
        with contextlib.suppress(OSError):
            self._connection.settimeout(HELLO_SECONDS)
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds=None):
        """Returns a dict, or None where none has come; no seconds: waits for it."""
        until = None if seconds is None else time.monotonic() + seconds
        try:
            while b"\n" not in self._held and len(self._held) < LONGEST:
                left = None if until is None else max(0.01, until - time.monotonic())
                self._connection.settimeout(left)
                content = self._connection.recv(65536)
                if not content:
                    return None
                self._held += content
            line, _, self._held = self._held.partition(b"\n")
            message = json.loads(line)
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def close(self):
        """Ends the connection."""
        self._connection.close()


class Meeting:
    """The processes of one training, in touch until the training begins.

    Args:
        address: `HOST:PORT` of process 0.
        count: Number of processes.
        process: This one's id; 0 listens at once.
        seconds: How long to wait for the others.

    Raises:
        UserError: When process 0 cannot listen on the port.
    """

    def __init__(self, address, count, process, seconds):
        self.address, self.count, self.process = address, count, process
        self.seconds = seconds
        self._host, self._port = parse_address(address)
        self._lines: dict = {}  # by the other's id
        self._hello: dict = {}
        self._server: typing.Any = self._listen() if process == 0 else None

    def _listen(self):
        """Returns the listening socket, on all interfaces as JAX's is."""
        try:
            if socket.has_dualstack_ipv6():
                return socket.create_server(
                    ("", self._port), family=socket.AF_INET6, dualstack_ipv6=True
                )
            return socket.create_server(("", self._port))
        except OSError as error:
            raise UserError(
                f"process 0 cannot listen on port {self._port} of --coordinator "
                f"{self.address} ({error.strerror}): give all processes a free port"
            ) from None

    def close(self):
        """Ends all connections, and leaves the port."""
        for line in self._lines.values():
            line.close()
        if self._server is not None:
            self._server.close()
        self._lines, self._server = {}, None

    # === Who is there ===

    def meet(self, facts):
        """Returns once all processes are there.

        Args:
            facts: Dict of dicts that JSON can hold, which must be the same in all.

        Raises:
            UserError: In all processes, when some are missing, an id is there twice,
                or facts differ.
        """
        self._hello = {
            "mark": MARK,
            "process": self.process,
            "facts": json.loads(json.dumps({"processes": self.count, **facts})),
        }
        if self.process:
            self._lines = {0: self._join()}
            return
        until, problem = time.monotonic() + self.seconds, None
        while len(self._lines) < self.count - 1 and problem is None:
            problem = self._admit(until)
        self._tell(problem)
        if problem and time.monotonic() >= until:
            raise Missing(problem)
        _raise(problem)

    def _admit(self, until):
        """Waits for one more process, and returns what is wrong with it, or None."""
        left = until - time.monotonic()
        if left <= 0 or not select.select([self._server], [], [], left)[0]:
            ids = sorted({*range(1, self.count)} - {*self._lines})
            return (
                f"process {', '.join(map(str, ids))} of {self.count} has not come to "
                f"the coordinator {self.address} in {self.seconds:g} s"
            )
        line = Line(self._server.accept()[0])
        hello = line.receive(HELLO_SECONDS)
        if hello is None or hello.get("mark") != MARK:
            line.close()  # a probe of a port, say
            return None
        process = hello.get("process")
        problem = self._problem_of(process, hello.get("facts", {}))
        if problem is None:
            self._lines[process] = line
        else:
            line.send({"error": problem})
            line.close()
        return problem

    def _problem_of(self, process, facts):
        """Returns what keeps a process from joining, or None."""
        others = differences(self._hello["facts"], facts, "{} is {}, there {}")
        if others:
            return (
                f"process {process} has another command or other packages than "
                f"process 0: {'; '.join(others[:3])}"
            )
        if process == 0 or process in self._lines:
            return (
                f"two processes have --process-id {process}: each needs its own, from "
                f"0 to {self.count - 1}"
            )
        return None

    def _join(self):
        """Returns the line to process 0, once it says that all are there."""
        until, why = time.monotonic() + self.seconds, "it does not answer"
        while (left := until - time.monotonic()) > 0:
            try:
                address = self._host, self._port
                line = Line(socket.create_connection(address, timeout=left))
            except OSError as error:
                why = error.strerror or one_line(error)
                time.sleep(min(0.2, left))
                continue
            line.send(self._hello)
            answer = line.receive(self.seconds + HELLO_SECONDS)
            if answer is not None and "ok" in answer:
                return line
            line.close()
            if answer is not None and "error" in answer:
                raise UserError(answer["error"])
            why = "what listens there is no process 0 of this training"
            time.sleep(min(0.2, left))
        raise UserError(
            f"the coordinator {self.address} has not answered in {self.seconds:g} s "
            f"({why}): is process 0 running there? --coordinator-timeout waits longer"
        )

    # === Whether all can begin ===

    @contextlib.contextmanager
    def agreeing(self):
        """Runs a block in every process; what one raises ends all with its line."""
        try:
            yield
        except BaseException as error:
            self._report(f"process {self.process}: {one_line(error)}")
            raise
        self._report(None)

    def _report(self, problem):
        """Tells the others how the block ended, and hears how theirs did."""
        if self.process:
            line = self._lines[0]
            line.send({"error": problem} if problem else {"ok": True})
            if problem is None:
                answer = line.receive() or {"error": "process 0 has ended"}
                _raise(answer.get("error"))
            return
        found = problem
        for process, line in self._lines.items():
            if found is None:
                answer = line.receive() or {"error": f"process {process} has ended"}
                found = answer.get("error")
        while found is None and select.select([self._server], [], [], 0)[0]:
            found = self._admit(time.monotonic() + HELLO_SECONDS)  # one too many
        self._tell(found)
        _raise(found if problem is None else None)

    def _tell(self, problem):
        """Tells all other processes of a problem, or that all is well."""
        for line in self._lines.values():
            line.send({"error": problem} if problem else {"ok": True})


def _raise(problem):
    if problem:
        raise UserError(problem)
