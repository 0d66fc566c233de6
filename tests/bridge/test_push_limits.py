"""What all subscribers together may have the bridge work on."""

from __future__ import annotations

from bridge.server_helpers import in_loop, join
from bridge.test_push_modes import hub_with_imu
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.server import Server


@in_loop
async def test_nobody_can_have_a_stream_worked_on_at_any_number_of_rates() -> None:
    hub = hub_with_imu()
    async with (
        Server(hub, ServerConfig(port=0), Limits(rates=3)) as server,
        await join(server) as one,
        await join(server) as other,
    ):
        want = {"op": "subscribe", "device": "dev-a", "stream": "imu", "mode": "envelope"}
        for number in range(3):
            assert (await one.ask(**want, id=number, rate_hz=10 + number))["op"] == "subscribed"
        refused = await other.ask(**want, id=3, rate_hz=13)
        assert (refused["op"], refused["code"]) == ("error", "too_many")
        assert (await other.ask(**want, id=4, rate_hz=11))["op"] == "subscribed", "that is worked on already"
        assert (await other.ask(**want | {"mode": "every"}, id=5))["op"] == "subscribed"
        await one.ask(op="unsubscribe", id=6, request=2)
        assert (await other.ask(**want, id=7, rate_hz=13))["op"] == "subscribed"
