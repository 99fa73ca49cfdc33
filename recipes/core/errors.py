"""Errors that a user can mend: the command prints them as one line."""

import difflib


class UserError(Exception):
    """Something the user can put right; `attention-zoo` exits with code 2."""


def unknown(kind, name, known):
    """Returns a `UserError` for a name outside a set, with the near names.

    Args:
        kind: What is named, e.g. `"recipe"`.
        name: The name as it was given.
        known: Iterable of the names that exist.
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = (
        f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
    )
    return UserError(f"unknown {kind} '{name}'. {hint}")


def one_line(error, limit=600):
    """Returns an error's message on one line, or its kind when it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 4] + " ..."


def differences(old, new, form="{} was {}, now {}"):
    """Returns how two dicts differ, as texts such as `"units was 32, now 64"`."""
    found = []
    for key in sorted({*old, *new}):
        was, now = old.get(key), new.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            found += differences(was, now, form)
        elif was != now:
            found.append(form.format(key, was, now))
    return found
