"""What a connection that is being closed has not been sent is not counted as sent."""

from __future__ import annotations

from websockets.protocol import State

from bridge.piped_client import Piped
from bridge.server_helpers import batch, device_info, epoch_started
from telemetry_bridge.config import Limits
from telemetry_bridge.events import DeviceChanged
from telemetry_bridge.hub import Hub
from telemetry_bridge.server.router import Router


def test_samples_for_a_connection_that_is_closing_wait_and_are_not_sent() -> None:
    hub, limits = Hub(), Limits()
    router = Router(hub, limits)
    hub.attach(router)
    hub.publish(DeviceChanged(device_info()))
    hub.publish(epoch_started())
    client = Piped(hub, router, limits)
    client.ask("subscribe", device="dev-a", stream="imu")
    hub.publish(batch(0, 20))
    (subscription,) = router.subscriptions(client.client)
    client.pipe.state = State.CLOSING
    hub.publish(batch(20, 20))
    client.client.flush()
    assert (subscription.feed.sent, subscription.feed.waiting) == (20, 20)
    state = hub.stream("dev-a", "imu")
    assert state is not None
    assert subscription.unaccounted(state) == 0
