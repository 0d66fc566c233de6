"""TLS: the certificate, and the handshake as part of what a connection may take."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from typing import Final

from telemetry_bridge.config import ServerConfig
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.private import open_private
from telemetry_bridge.server.admission import Admission, peer_of

MAKE: Final = "`mkcert -cert-file cert.pem -key-file key.pem NAME`, or " + (
    "`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=NAME "
    "-addext subjectAltName=DNS:NAME -keyout key.pem -out cert.pem`"
)
"""How people make a certificate for this machine."""

_SHUTDOWN_S: Final = 1.0


def context_of(config: ServerConfig) -> ssl.SSLContext | None:
    """What a server needs for TLS 1.2 and later; None if it is to serve without.

    Raises:
        BridgeError: a file cannot be used, or others can read the key. One line.
    """
    if config.tls_certificate is None and config.tls_key is None:
        return None
    if config.tls_certificate is None or config.tls_key is None:
        raise BridgeError(f"TLS needs both [server] tls_certificate and tls_key; make both with {MAKE}")
    certificate, key = config.tls_certificate, config.tls_key
    os.close(open_private(Path(key)))
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # No session tickets: they come behind the handshake, where a client that reads and writes in two threads, as
    # websockets.sync does, races with them in Python's ssl (3.11: one first request in some 150 was lost).
    made.num_tickets = 0
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(certificate, key, password=lambda: "")  # never ask at the terminal
    except ssl.SSLError as error:
        reason = "they do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "not PEM, or encrypted"
        raise BridgeError(f"TLS: cannot use {certificate} with {key}: {reason}; make both with {MAKE}") from None
    except OSError as error:
        raise BridgeError(f"TLS: {certificate}: {error.strerror or error}; make it with {MAKE}") from None
    return made


class TlsHandshake(asyncio.Protocol):
    """A TCP connection until its TLS handshake is done; then its protocol takes over.

    asyncio's own TLS servers show a connection only after its handshake, so that those who never finish one could not
    be counted.

    Args:
        admission: counts it meanwhile.
        inner: the protocol that talks inside.
        security: certificate and key.
        open_s: how long the handshake may take.
    """

    def __init__(self, admission: Admission, inner: asyncio.Protocol, security: ssl.SSLContext, open_s: float) -> None:
        self.admitted = False
        self._admission = admission
        self._inner = inner
        self._security = security
        self._open_s = open_s
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None  # kept, for the loop keeps none
        self._handed_over = False
        self._early = bytearray()

    @property
    def address(self) -> str:
        """IP address of the other end."""
        return peer_of(self._transport) if self._transport is not None else "unknown"

    def abort(self) -> None:
        """Cut the connection."""
        if self._task is not None:
            self._task.cancel()  # what is aborted in its handshake asyncio would wait for until its time limit
        if self._transport is not None:
            self._transport.abort()

    async def ended(self) -> None:
        """Wait until nothing goes on here any more."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, and begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._admission.opened(self):
            transport.abort()
            return
        transport.pause_reading()  # until TLS reads
        self._task = asyncio.get_running_loop().create_task(self._shake_hands(transport))

    def data_received(self, data: bytes) -> None:
        """What came together with the end of the handshake is kept until somebody is there to read it."""
        if self._handed_over:
            self._inner.data_received(data)
        else:
            self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._admission.lost(self)
        if self._handed_over:
            self._inner.connection_lost(exc)

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                self,
                self._security,
                server_side=True,
                ssl_handshake_timeout=self._open_s,
                ssl_shutdown_timeout=_SHUTDOWN_S,
            )
        except OSError:  # no TLS, a version or a certificate that the other end does not take, too slow
            transport.abort()
            return
        finally:
            self._admission.lost(self)
        if secured is None or secured.is_closing():
            return
        secured.set_protocol(self._inner)
        self._handed_over = True
        self._inner.connection_made(secured)
        if self._early:
            self._inner.data_received(bytes(self._early))
            self._early.clear()
