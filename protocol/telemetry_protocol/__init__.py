"""The wire format of the telemetry bridge: frames, messages, samples. SPEC.md beside this package is its law."""

from . import messages
from .decoder import Counters, Decoder
from .frames import ENCODED_MAX, PAYLOAD_MAX, Damage, Frame, encode_frame
from .messages import COMMANDS, FINGERPRINT, PROTOCOL, unpack
from .samples import LayoutError, SampleLayout
from .wire_types import CommandSpec, FieldSpec, Message, Record, Refused, stream_gen

__all__ = [
    "COMMANDS",
    "ENCODED_MAX",
    "FINGERPRINT",
    "PAYLOAD_MAX",
    "PROTOCOL",
    "CommandSpec",
    "Counters",
    "Damage",
    "Decoder",
    "FieldSpec",
    "Frame",
    "LayoutError",
    "Message",
    "Record",
    "Refused",
    "SampleLayout",
    "encode_frame",
    "messages",
    "stream_gen",
    "unpack",
]
