"""`telemetry-bridge record`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from telemetry_bridge.cli import options

if TYPE_CHECKING:
    from telemetry_bridge.recording import RunInfo

EPILOG = """\
examples:
  telemetry-bridge record --port auto -o runs                   every stream of every board, until Ctrl-C
  telemetry-bridge record --port /dev/ttyACM0 --duration 60 --title "shaker, 2 g" --tag shaker
  telemetry-bridge record --stream imu --stream imu_temp        the lines that the configuration file names

The file is MCAP, the format of Foxglove, Lichtblick and PlotJuggler: `telemetry-bridge runs info` says what is in it,
and `telemetry-bridge calibrate --run` takes it. It can be read at any moment; what kills this program costs 250 ms.

exit codes: 0 all that came is in the file, 1 could not go on, 2 wrong usage, 3 the disk was full or too slow
"""


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    text = "record every sample into a file, with times, gaps, health and calibrations"
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="folder of the run (default: this one)"
    )
    own.add_argument(
        "--stream", action="append", metavar="NAME", help="only this stream; may be repeated (default: every stream)"
    )
    own.add_argument("--title", default="", help="what it is, in a few words; also part of the file's name")
    own.add_argument("--notes", default="", help="everything else that is worth knowing about it")
    own.add_argument("--tag", action="append", default=[], type=_tag, help="a word to find it by; may be repeated")
    own.add_argument(
        "--duration", type=options.seconds, metavar="SECONDS", help="end by itself this long after the first sample"
    )
    parents = own, options.source(required=False, several=True), options.basic()
    options.add(commands, "record", text, *parents, epilog=EPILOG).set_defaults(run=run)


def _tag(text: str) -> str:
    if text and "," not in text:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no tag: it has a comma, or nothing")


def run(args: argparse.Namespace) -> int:
    """Carry it out; imported here, for the others start faster without."""
    from telemetry_bridge.cli import serving
    from telemetry_bridge.cli.recording import Recording
    from telemetry_bridge.errors import RunError
    from telemetry_bridge.recording import Recorder, RunInfo, new_path

    config = options.configured(args)
    options.need_lines(config, args)
    folder: Path = args.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror}") from None
    info: RunInfo = RunInfo(title=args.title, notes=args.notes, tags=tuple(args.tag), started_ns=time.time_ns())
    recorder = Recorder(
        new_path(folder, args.title, info.started_ns),
        info,
        streams=None if args.stream is None else frozenset(args.stream),
    )
    serving.run(config, lambda bridge: Recording(bridge, recorder, args.duration), serve=False, duration=None)
    inside = "`telemetry-bridge runs info` says what is in it" if recorder.failure else f"{recorder.samples:,} samples"
    print(f"{recorder.path}: {inside}, {recorder.size:,} bytes", flush=True)
    return 3 if recorder.failure or recorder.dropped else 0
