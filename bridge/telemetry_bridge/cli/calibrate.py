"""`telemetry-bridge calibrate`."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from telemetry_bridge.cli import options
from telemetry_bridge.errors import CalibrationError

if TYPE_CHECKING:
    from telemetry_bridge.calibrate.outcome import Guide
    from telemetry_bridge.calibration import Calibration
    from telemetry_bridge.calibration.recording import Origin, Source
    from telemetry_bridge.config import Config

EPILOG = """\
what:
  accel         scale, misalignment and bias: put the board down in 15 or more directions
  gyro          the same for the gyroscope, from the turns between them; the accelerometer too if it has none yet
  gyro --bias   only the gyroscope's bias of today: 3 s of rest
  temperature   how the biases drift: let the board rest while it warms up or cools down; with --reference
                a thermometer against a better one
  noise         Allan deviation: let the board rest for half an hour; nothing is kept but the plot

on a terminal Enter ends a session with what there is so far, if that is enough; Ctrl-C stops it and keeps nothing

samples come from the bridge that runs on this machine (or --url), or from a port that nobody holds (--port, as for
`telemetry-bridge run`), or from a file (--csv)

examples:
  telemetry-bridge calibrate accel --port /dev/ttyACM0
  telemetry-bridge calibrate gyro --latitude 47.4 --height 400    the board of the bridge that runs on this machine
  telemetry-bridge calibrate gyro --csv walk.csv --dry-run        docs/calibration.md says which columns
  telemetry-bridge calibrate --list                               what is kept, and what of it is in force
  telemetry-bridge calibrate accel --run run-20260102-030405.mcap   what `telemetry-bridge record` has recorded

exit codes: 0 done, 1 not possible, refused or stopped (one line says why; nothing is kept), 2 wrong usage
"""


def _positive(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")


def _between(low: float, high: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= float(text) <= high:
                return float(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")

    return convert


def _poses(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 12 <= int(text) <= 200:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of poses from 12 to 200")


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    text = "measure what a sensor does wrong, keep it, and apply it from then on (needs the extra 'calibration')"
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("what", nargs="?", choices=("accel", "gyro", "temperature", "noise"), help="see 'what' below")
    own.add_argument("--list", action="store_true", help="say which calibrations are kept, and which are in force")
    own.add_argument("--csv", type=Path, metavar="FILE", help="compute from recorded nominal samples, not from a board")
    own.add_argument("--run", type=Path, metavar="FILE", dest="recorded", help="the same from a run (`record`)")
    own.add_argument("--device", metavar="ID", default="", help="id of the board, or its start (default: the only one)")
    own.add_argument("--stream", metavar="NAME", default="", help="stream of the sensor (default: imu)")
    own.add_argument("--sensor", metavar="PART", default="", help="part, where a file does not say it")
    own.add_argument("--dry-run", action="store_true", help="report, but keep nothing")
    own.add_argument("--plot", type=Path, metavar="FILE.svg", help="where the plot goes (default: beside the result)")
    own.add_argument("--bias", action="store_true", help="gyro: only its bias, from 3 s of rest")
    own.add_argument("--poses", type=_poses, metavar="N", help="accel, gyro: poses at least (default: 15)")
    own.add_argument("--span", type=_positive, metavar="K", help="temperature: how far it is to move (default: 15 K)")
    own.add_argument(
        "--reference", metavar="STREAM", default="", help="temperature: calibrate the thermometer --stream against this"
    )
    own.add_argument("--minutes", type=_positive, metavar="MIN", help="noise: length of the rest (default: 30)")
    own.add_argument(
        "--latitude", type=_between(-90, 90), metavar="DEG", help="accel, gyro: for local gravity (else 9.80665 m/s^2)"
    )
    own.add_argument("--height", type=_between(-500, 9000), default=0.0, metavar="M", help="above the sea, with that")
    parents = own, options.source(required=False, several=True), options.running(), options.basic()
    options.add(commands, "calibrate", text, *parents, epilog=EPILOG).set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry it out; imported here, for the others start faster without."""
    from rich.console import Console

    from telemetry_bridge.calibrate.report import print_list
    from telemetry_bridge.calibrate.session import Task, calibrate
    from telemetry_bridge.calibration import Store

    _refuse_wrong_usage(args)
    config = options.configured(args)
    folder = config.calibration.folder
    store = Store(None if folder is None else Path(folder))
    if args.list:
        print_list(Console(highlight=False), store)
        return 0
    figure = args.plot or (Path("allan-deviation.svg") if args.what == "noise" else None)
    progress, report = Console(stderr=True, highlight=False), Console(highlight=False)
    try:
        with _source(args, config) as source:
            task = Task(
                functools.partial(_guide, args, source.origin),
                save=not args.dry_run and args.what != "noise",
                figure=figure,
                is_ended=enter_key(sys.stdin),
            )
            calibrate(task, source, store, progress, report)
    except KeyboardInterrupt:
        print("\ntelemetry-bridge: stopped: nothing was kept", file=sys.stderr)
        return 1
    return 0


def _refuse_wrong_usage(args: argparse.Namespace) -> None:
    if args.list:
        return
    if args.what is None:
        args.error("calibrate: what? accel, gyro, temperature or noise (or --list)")
    if sum((args.csv is not None, args.recorded is not None, bool(args.port))) > 1:
        args.error("calibrate: one of --csv, --run and --port")
    of = {"bias": ("gyro",), "poses": ("accel", "gyro"), "latitude": ("accel", "gyro"), "span": ("temperature",)}
    for name, kinds in {**of, "reference": ("temperature",), "minutes": ("noise",)}.items():
        if getattr(args, name) and args.what not in kinds:
            args.error(f"calibrate: --{name} is for {' and '.join(kinds)}")


def enter_key(keys: TextIO | None) -> Callable[[], bool]:
    """Whether Enter was pressed since it was asked last; never where nobody sits at a terminal."""
    pressed = threading.Event()

    def was_pressed() -> bool:
        was = pressed.is_set()
        pressed.clear()
        return was

    def wait(keys: TextIO) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed
            while os.read(keys.fileno(), 1024):  # not keys.readline, whose lock would stand in the way of the exit
                pressed.set()

    if keys is not None and keys.isatty() and _is_foreground(keys.fileno()):
        threading.Thread(target=wait, args=(keys,), name="enter", daemon=True).start()
    return was_pressed


def _is_foreground(terminal: int) -> bool:
    """Whether reading from a terminal does not stop this program, as it stops a background job of a shell."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except (AttributeError, OSError):  # Windows; a terminal that does not control this program
        return True


@contextlib.contextmanager
def _source(args: argparse.Namespace, config: Config) -> Iterator[Source]:
    """Where the samples come from: a file, a port, or the bridge that runs."""
    from telemetry_bridge.calibration.recording import read_csv

    stream = args.stream or "imu"
    thermometer = args.reference or f"{stream}_temp"
    if args.csv is not None:
        yield read_csv(args.csv, {"device": args.device, "stream": args.stream, "sensor": args.sensor})
        return
    if args.recorded is not None:
        from telemetry_bridge.calibrate.recorded import read_run

        yield read_run(args.recorded, args.device, stream, thermometer)
        return
    from telemetry_bridge.calibrate.live import BridgeSource, PortSource
    from telemetry_bridge.client import RunningBridge

    if args.port:
        with PortSource(config, args.device, stream, thermometer) as source:
            yield source
        return
    where = options.where(args)
    bridge = RunningBridge.find(where)
    if bridge is None:
        raise CalibrationError(
            f"no bridge serves {where.url}; --port, --csv or --run say where else the samples come from"
        )
    with bridge:
        yield BridgeSource(bridge, args.device, stream, thermometer)


def _guide(args: argparse.Namespace, origin: Origin, base: Calibration | None) -> Guide:
    from telemetry_bridge.calibrate.noise import MINUTES, NoiseGuide
    from telemetry_bridge.calibrate.poses import PoseGuide, RestGuide
    from telemetry_bridge.calibrate.sweep import SPAN_K, SweepGuide
    from telemetry_bridge.calibrate.thermometer import ThermometerGuide
    from telemetry_bridge.calibration.coverage import POSES
    from telemetry_bridge.calibration.gravity import local_gravity

    if args.what == "noise":
        return NoiseGuide(origin, args.minutes or MINUTES)
    if args.what == "temperature" and args.reference:
        return ThermometerGuide(origin, args.span or SPAN_K, args.reference)
    if args.what == "temperature":
        return SweepGuide(origin, base, args.span or SPAN_K)
    if args.what == "gyro" and args.bias:
        return RestGuide(origin, base, 3.0)
    gravity = local_gravity(args.latitude, args.height)
    return PoseGuide(origin, base, gravity, gyro=args.what == "gyro", poses=args.poses or POSES)
