"""The numbers that keep one client from harming the others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the server. Each one that is hit is answered with a clear error.

    Attributes:
        connections: WebSocket connections in all.
        connections_per_address: WebSocket connections from one address. On loopback everybody has the same.
        pending: TCP connections that have not finished their HTTP request; more are cut without an answer.
        subscriptions: per connection; a request with ``"device": "*"`` counts as one more.
        commands: commands of one connection that wait for their board at the same time.
        message_bytes: largest message from a client; a larger one closes the connection with 1009.
        queue_bytes: what may wait for one subscriber, in bytes.
        queue_messages: what may wait for one subscriber, in messages.
        write_buffer_bytes: what may wait for one subscriber below the queue, in the transport.
        socket_buffer_bytes: what the kernel may hold for one subscriber (SO_SNDBUF).
        open_s: for the HTTP request and the handshake.
        stall_s: how long a subscriber may take nothing at all before it is hopelessly behind.
        abort_s: how long a closing handshake may take before the connection is cut.
        command_s: how long a command may take before it is answered as timed out.
    """

    connections: int = 256
    connections_per_address: int = 128
    pending: int = 128
    subscriptions: int = 64
    commands: int = 16
    message_bytes: int = 64 * 1024
    queue_bytes: int = 1024 * 1024
    queue_messages: int = 2048
    write_buffer_bytes: int = 64 * 1024
    socket_buffer_bytes: int = 256 * 1024
    open_s: float = 10.0
    stall_s: float = 15.0
    abort_s: float = 1.0
    command_s: float = 5.0
