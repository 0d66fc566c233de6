"""The batch vectors that the page's decoder is tested with, against the bridge's encoder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from telemetry_bridge.events import Batch
from telemetry_bridge.server.wire_format import batch_parts, binary_prefix

FILE = Path(__file__).parents[2] / "bridge" / "dashboard" / "test" / "batch-vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
SAMPLES = [vector for vector in VECTORS if vector["batch"] and vector["batch"]["kind"] == 1]


@pytest.mark.parametrize("vector", SAMPLES, ids=lambda vector: vector["name"])
def test_the_bridge_encodes_what_the_page_decodes(vector: dict[str, Any]) -> None:
    said = vector["batch"]
    values = np.array(
        [[math.nan if value is None else value for value in column] for column in said["columns"]], dtype=np.float32
    )
    batch = Batch("d", "s", 1, said["index"], int(said["time_ns"]), said["period_ns"], 0, values, 0, b"", 0)
    (part,) = batch_parts(batch, "binary")
    assert (binary_prefix(said["sub"], said["seq"]) + part.tail).hex() == vector["hex"]


def test_there_are_vectors() -> None:
    assert len(SAMPLES) >= 3
