"""`python -m harness`: the command line where no script of it is installed, as in a job's copy of the code."""

import sys

try:
    from harness.cli.main import main
except ModuleNotFoundError as error:
    sys.exit(
        f"error: {sys.executable}: Python module {error.name} is missing; install spikeslab's dependencies there, or "
        "start Ray on the head from the environment that has them, activated"
    )

main()
