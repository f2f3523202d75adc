"""The proxy that an environment names for HTTP: for other machines, never for this one."""

import os
from urllib.request import getproxies_environment

THIS_MACHINE = "127.0.0.1,localhost"


def spare_this_machine() -> None:
    """Let clients of HTTP reach this machine itself, and tunnels that begin here, without the environment's proxy.

    Call it before a client is made: each reads the variables then.
    """
    if not getproxies_environment().keys() - {"no"}:
        return
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if not spared.endswith(THIS_MACHINE):
        spared = f"{spared},{THIS_MACHINE}".lstrip(",")
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = spared  # some clients read the one, some the other
