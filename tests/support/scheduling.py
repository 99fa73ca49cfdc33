"""How xdist shares the tests out: a module is one unit, for its fixtures.

`--dist loadgroup` would do, if xdist's groups reached pytest: xdist 3.8 appends a group
to an attribute that pytest 9.2 no longer has, and shares out each test by itself.
"""

from xdist.scheduler import LoadScopeScheduling

PROMISES = "test_promises.py"


def unit_of(nodeid):
    """Returns the name of the unit that a test belongs to.

    The promises need no fixtures: each is a unit, and they fill the end, since xdist
    begins with the units of the most tests.
    """
    file = nodeid.split("::")[0]
    return nodeid if file.endswith(PROMISES) else file


class ByModule(LoadScopeScheduling):
    """Shares out units of tests."""

    def _split_scope(self, nodeid):
        return unit_of(nodeid)
