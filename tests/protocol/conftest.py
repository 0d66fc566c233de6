"""Fixtures: the C codec, built here, and both codecs in turn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.c_codec import CCodec, build_library
from protocol.support import C_LIBRARY, Codec, PythonCodec


@pytest.fixture(scope="session")
def c_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C codec as a shared library, built with the project's warnings as errors."""
    if given := os.environ.get(C_LIBRARY):
        return Path(given)
    return build_library(tmp_path_factory.mktemp("c") / "libtp.so")


@pytest.fixture(scope="session")
def c_codec(c_library: Path) -> CCodec:
    return CCodec(c_library)


@pytest.fixture(scope="session", params=["c"] if C_LIBRARY in os.environ else ["python", "c"])
def codec(request: pytest.FixtureRequest) -> Codec:
    """Each of the two codecs in turn; only C where a build of it is given."""
    if request.param == "python":
        return PythonCodec()
    c_codec: Codec = request.getfixturevalue("c_codec")
    return c_codec
