"""Kinds of tasks: each is a folder here, found on disk, behind one class.

`TASKS` maps the name of a kind, which is the name of its folder, to its `Task`. Listing
the names imports nothing; a task's module is imported when the task is first asked for,
and TensorFlow only with the data.
"""

import collections.abc
import importlib
import pkgutil

from attention_zoo.recipes.core.errors import unknown

__all__ = ["TASKS"]


class _Tasks(collections.abc.Mapping):
    """The tasks by the names of their kinds, in alphabetical order."""

    def __iter__(self):
        names = (m.name for m in pkgutil.iter_modules(__path__) if m.ispkg)
        return iter(sorted({*names}))

    def __len__(self):
        return sum(1 for _ in self)

    def __contains__(self, kind):
        return any(kind == name for name in self)

    def __getitem__(self, kind):
        """Returns the `Task` of a kind, or raises `UserError` with the near names."""
        if kind not in self:
            raise unknown("kind of task", str(kind), self)
        return importlib.import_module(f"{__name__}.{kind}.task").TASK


TASKS = _Tasks()
