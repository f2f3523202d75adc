"""`python -m tests.gpu`: check, measure and use the graphics card of this machine, in at most 8 minutes."""

import argparse
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.gpu.parts import PARTS, Report, write_report

LINE = 'python3 -m tests.gpu --parts check,bench --out "${OUT:-gpu-results}"'
"""For a machine that has PyTorch, Triton, NumPy and pytest, and nothing else of what the project needs."""

NEEDED = "a graphics card that torch sees (CUDA); this machine has none"


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Leaves the line to be typed in one piece."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts asked for: 0 all went well, 1 one did not, 2 there is no card or the arguments are wrong."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu",
        description="What takes a graphics card: check (is it right?), bench (how fast?), study (does Ray run on it?).",
        epilog=f"Where only PyTorch and pytest are installed, in the root of the repository:\n\n    {LINE}",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="which, with commas between")
    parser.add_argument("--out", default="gpu-results", type=Path, help="folder for JSON and Markdown, part by part")
    parser.add_argument(
        "--device", default="cuda", choices=["cuda", "cpu"], help="cpu: a small rehearsal without a card"
    )
    parser.add_argument("--only", default="", help="tests of check to run, as pytest's -k")
    given = parser.parse_args(argv)
    parts = [part for part in given.parts.split(",") if part]
    if not parts or any(part not in PARTS for part in parts):
        parser.error(f"--parts: {given.parts!r} is not some of {','.join(PARTS)}")
    if given.device == "cuda" and not has_card():
        print(f"make gpu needs {NEEDED}.", file=sys.stderr)
        return 2
    os.environ["SPIKESLAB_DEVICE"] = given.device
    given.out.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "tests.gpu", *argv])
    failed = False
    for part in parts:
        print(f"== {part}", flush=True)
        report = run_part(part, given, command)
        print((given.out / f"{part}.md").read_text(encoding="utf-8"), flush=True)
        failed |= bool(report.problems)
    return int(failed)


def run_part(part: str, given: argparse.Namespace, command: str) -> Report:
    """Run a part and write its report. What it has told of stays there should it break."""
    last = Report({})

    def tell(report: Report) -> None:
        nonlocal last
        last = report
        write_report(given.out, part, report, command=command)

    try:
        last = load(part)(given.device, given.out, given.only, tell)
    except Exception as error:  # the next part may well do
        traceback.print_exc()
        last.problems.append(f"{type(error).__name__}: {error}")
    tell(last)
    return last


def has_card() -> bool:
    """Whether torch sees one."""
    import torch

    return torch.cuda.is_available()


def load(part: str) -> Callable[[str, Path, str, Callable[[Report], None]], Report]:
    """What runs a part. Only then is it imported: each needs other packages."""
    if part == "check":
        from tests.gpu.check import run_check

        return run_check
    if part == "bench":
        from tests.gpu.bench import run_bench

        return run_bench
    from tests.gpu.study import run_study

    return run_study


if __name__ == "__main__":
    sys.exit(main())
