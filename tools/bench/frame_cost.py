"""Retired Cortex-M4 instructions of the frame codec, counted in an emulator.

    python -m bench.frame_cost        (from tools/)

Instructions, not cycles: no emulator knows the wait states of the flash.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import UC_ARCH_ARM, UC_HOOK_CODE, UC_MODE_MCLASS, UC_MODE_THUMB
from unicorn import arm_const as arm

from bench.c_codec import ROOT, WARNINGS

TARGET: Final = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_FLASH, _RAM, _RAM_SIZE = 0x08000000, 0x20000000, 0x20000
_OUT, _PAYLOAD, _DECODER, _STACK = _RAM, _RAM + 0x1000, _RAM + 0x2000, _RAM + _RAM_SIZE
_RETURN = _FLASH + 0xFFFF0  # where a call comes back to; nothing is executed there


@dataclass(frozen=True)
class Cost:
    """Instructions that one frame costs the board."""

    encode: int
    """tp_frame_encode, whole frame."""
    decode: int
    """tp_decoder_push, over all bytes of the frame."""
    body: int
    """Bytes that pass through CRC and COBS: type, sequence, payload, CRC."""
    encoded: bytes
    """The frame, delimiter included."""

    @property
    def encode_per_byte(self) -> float:
        """Instructions a byte of the body."""
        return self.encode / self.body

    @property
    def decode_per_byte(self) -> float:
        """Instructions a byte on the line."""
        return self.decode / len(self.encoded)


class FrameCost:
    """The C codec, built for the Cortex-M4 and ready to be called."""

    def __init__(self, folder: Path, level: str = "-O2") -> None:
        elf = folder / f"tp{level}.elf"
        link = ["-nostartfiles", "--specs=nano.specs", f"-Wl,-Ttext={_FLASH:#x}", "-Wl,-e,tp_frame_encode"]
        sources = [ROOT / "protocol/c/tp_frame.c", ROOT / "protocol/c/tp_crc32c.c"]
        include = f"-I{ROOT / 'protocol/c/include'}"
        command = ["arm-none-eabi-gcc", *TARGET, *WARNINGS, level, include, *link, "-o", str(elf), *map(str, sources)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        emulator: Any = unicorn
        self._uc = emulator.Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        self._uc.mem_map(_FLASH, 0x100000)
        self._uc.mem_map(_RAM, _RAM_SIZE)
        self._uc.hook_add(UC_HOOK_CODE, self._count)
        self._retired = 0
        with elf.open("rb") as file:
            image = ELFFile(file)
            for segment in image.iter_segments("PT_LOAD"):
                if _FLASH <= segment["p_paddr"] < _FLASH + 0x100000:
                    self._uc.mem_write(segment["p_paddr"], segment.data())
            symbols: Any = image.get_section_by_name(".symtab")
            self._symbols = {symbol.name: symbol["st_value"] for symbol in symbols.iter_symbols()}

    def measure(self, payload: bytes) -> Cost:
        """Encode a frame and decode it again."""
        self._uc.mem_write(_PAYLOAD, payload)
        stack_arguments = _PAYLOAD.to_bytes(4, "little") + len(payload).to_bytes(4, "little")
        size, encode = self._call("tp_frame_encode", _OUT, 0x1000, 3, 7, on_stack=stack_arguments)
        encoded = bytes(self._uc.mem_read(_OUT, size))
        self._call("tp_decoder_init", _DECODER)
        decode = verdict = 0
        for byte in encoded:
            verdict, retired = self._call("tp_decoder_push", _DECODER, byte)
            decode += retired
        if verdict != 1:
            raise RuntimeError(f"the decoder says {verdict} to a good frame")
        return Cost(encode, decode, len(payload) + 6, encoded)

    def _count(self, *_: Any) -> None:
        self._retired += 1

    def _call(self, function: str, *arguments: int, on_stack: bytes = b"") -> tuple[int, int]:
        """Call a function; its result and the instructions it took."""
        registers = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3)
        for register, value in zip(registers, arguments, strict=False):
            self._uc.reg_write(register, value)
        stack = _STACK - 64
        self._uc.mem_write(stack, on_stack.ljust(64, b"\0"))
        self._uc.reg_write(arm.UC_ARM_REG_SP, stack)
        self._uc.reg_write(arm.UC_ARM_REG_LR, _RETURN | 1)
        self._retired = 0
        self._uc.emu_start(self._symbols[function] | 1, _RETURN, count=1_000_000)
        if self._uc.reg_read(arm.UC_ARM_REG_PC) != _RETURN:
            raise RuntimeError(f"{function} did not return")
        return self._uc.reg_read(arm.UC_ARM_REG_R0), self._retired


def imu_payload(seed: int = 1) -> bytes:
    """A SAMPLES payload of 20 six-axis samples as a board at rest sends it, noise of some counts included."""
    rng = random.Random(seed)
    rest = (-61, 118, 8192, 13, -27, 4)
    samples = b"".join(
        (mean + rng.randint(-40, 40)).to_bytes(2, "little", signed=True) for _ in range(20) for mean in rest
    )
    return b"\xe0" + (1000).to_bytes(4, "little") + (1_000_000).to_bytes(6, "little") + samples


def main() -> int:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        for level in ("-O2", "-Os"):
            cost = FrameCost(Path(folder), level).measure(imu_payload())
            print(
                f"{level}: encode {cost.encode} instructions for {cost.body} bytes ({cost.encode_per_byte:.1f} a byte, "
                f"{cost.encode / 20:.0f} a sample); decode {cost.decode} ({cost.decode_per_byte:.1f} a byte)"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
