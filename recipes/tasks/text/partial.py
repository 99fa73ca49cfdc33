"""A table that grows part by part, and that a killed process can go on with."""

import contextlib
import json
import os

from attention_zoo.recipes.core import files
from attention_zoo.recipes.core.errors import UserError, differences


class PartialTable:
    """Writes a table into a hidden file that takes its name at the end.

    Beside it lies a small JSON file that says how many rows are safe. Rows that a
    killed process wrote beyond that are cut off and written again.

    Args:
        target: Path of the table. Its suffix decides the form.
        asked: Dict that JSON can hold: all that decides what is written.
        resume: Whether to go on with what is there.

    Attributes:
        rows: How many rows are written.

    Raises:
        UserError: When `resume` finds a table of which something else was asked.
    """

    def __init__(self, target, asked, resume=False):
        self.target, self.asked = target, json.loads(json.dumps(asked))
        self.file = target.with_name(f".{target.stem}.partial{target.suffix}")
        self.note = target.with_name(f".{target.stem}.partial.json")
        self.rows, self.bytes = 0, 0
        found = self._read() if resume else None
        if resume and found is None:
            print(f"nothing to resume for {target}: it starts anew")
        if found is None:
            self.file.write_bytes(b"")
            return
        others = differences(found["asked"], self.asked)
        if others:
            raise UserError(
                f"{self.file} is of another prediction: {'; '.join(others[:3])}. "
                "Without --resume it starts anew"
            )
        self.rows, self.bytes = found["rows"], found["bytes"]
        os.truncate(self.file, self.bytes)
        print(f"resuming after {self.rows:,} rows", flush=True)

    def _read(self):
        """Returns what the note says, or None where it or the table is missing."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            found = json.loads(self.note.read_text(encoding="utf-8"))
            if self.file.stat().st_size >= found["bytes"]:
                return {key: found[key] for key in ("asked", "rows", "bytes")}
        return None

    def append(self, part):
        """Adds the rows of a `pandas.DataFrame`, on the disk when this returns."""
        form = self.target.suffix.lower()
        with open(self.file, "a", encoding="utf-8", newline="") as file:
            if form == ".jsonl":
                part.to_json(file, orient="records", lines=True, force_ascii=False)
            else:
                sign = "\t" if form == ".tsv" else ","
                part.to_csv(file, sep=sign, header=not self.rows, index=False)
            file.flush()
            os.fsync(file.fileno())
            self.bytes = os.fstat(file.fileno()).st_size
        self.rows += len(part)
        note = {"asked": self.asked, "rows": self.rows, "bytes": self.bytes}
        files.write_json(self.note, note)

    @contextlib.contextmanager
    def growing(self):
        """Gives the table its name at the end of the block.

        Of a block that fails the rows stay, if there are any, and a line says so.
        """
        try:
            yield
            os.chmod(self.file, 0o644)
            os.replace(self.file, self.target)
        except BaseException:
            if self.rows:
                print(
                    f"{self.rows:,} rows are kept: the same command with --resume goes "
                    "on",
                    flush=True,
                )
            else:
                self.file.unlink(missing_ok=True)
            raise
        self.note.unlink(missing_ok=True)
