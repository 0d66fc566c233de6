"""What `--help` ends with."""

from __future__ import annotations

from typing import Final

EPILOG: Final = """\
examples:
  telemetry-bridge demo                         a simulated board, no hardware needed
  telemetry-bridge ports                        which serial ports there are, and who holds them
  telemetry-bridge run --port auto              find every board, serve http://localhost:8765
  telemetry-bridge run --port /dev/ttyACM0      this port, at 921600 baud
  telemetry-bridge run --port auto --baud 2000000   open at 921600, then change board and port to 2000000
  telemetry-bridge run --port /dev/ttyACM0 --port tcp:localhost:4000
  telemetry-bridge run                          the lines that the configuration file names
  telemetry-bridge config --check               whether that file is right
  telemetry-bridge monitor --port auto          live values in this terminal, no server
  telemetry-bridge record --port auto -o runs   record every stream until Ctrl-C
  telemetry-bridge runs info runs/FILE.mcap     what is in a run, and whether all of it is
  telemetry-bridge calibrate gyro               both inertial sensors of the board of a running bridge, by hand
  telemetry-bridge flash --port /dev/ttyUSB0 firmware.elf
  telemetry-bridge command set_rate stream=imu rate_hz=500   to the board of a running bridge

ports:
  serial:/dev/ttyACM0[?baud=921600], or just /dev/ttyACM0 or COM3; this rate is that of the board after a reset
  serial:rfc2217://HOST:PORT                    a port of another machine, by RFC 2217 (ser2net, terminal servers)
  tcp:HOST:PORT
  sim:[?rate=1000&seed=1]                       the simulated board; &motion=hand|poses|rest, &errors=1: uncalibrated
  auto                                          every serial port is asked, and asked again when something is plugged
                                                in; each board that answers is taken, whichever port it has next time
--port may be repeated: several ports, or ports and auto.

exit codes: 0 ended as asked, 1 could not go on (one line says why), 2 wrong usage
"""
