"""`python -m models.benchmark`: the same as `spikeslab bench`, where only torch is installed."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence

from models.benchmark.comparison import compare, has_failed
from models.benchmark.options import Options
from models.benchmark.table import format_table

DEFAULTS = Options()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status. argv: the arguments, by default the command line's."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="python -m models.benchmark",
        description="Measure how fast this machine trains: one trial, several processes, stacks; and plain PyTorch.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--seconds", type=float, default=DEFAULTS.seconds, help="seconds of timing per row")
    parser.add_argument("--latent-dim", type=int, default=DEFAULTS.latent_dim, help="number of latent dimensions")
    parser.add_argument("--batch-size", type=int, default=DEFAULTS.batch_size, help="training images per step")
    parser.add_argument(
        "--precision", default=DEFAULTS.precision, help="precision of our trainer's rows: all, float32, tf32 or bf16"
    )
    parser.add_argument(
        "--device", default=DEFAULTS.device, help="auto (the CPU, and the GPU if there is one), cpu or cuda"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=DEFAULTS.epochs,
        help="epochs trained before the rows of trained states; 0: no such rows",
    )
    parser.add_argument(
        "--images", default=None, help=".npy file of 60000 images (28, 28) uint8; default: generated ones"
    )
    given = vars(parser.parse_args(argv))
    as_json = given.pop("json")
    try:
        options = Options(**given)
    except ValueError as error:
        parser.error(str(error))
    command = shlex.join(["python", "-m", "models.benchmark", *argv])
    results = compare(options, command=command, on_progress=lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(results, indent=2) if as_json else format_table(results))
    return int(has_failed(results))


if __name__ == "__main__":
    sys.exit(main())
