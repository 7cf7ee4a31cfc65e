"""The publisher: a state and a wake-up, no queue."""

from __future__ import annotations

from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.target import Target
from tests.protocol.wire import resource


async def test_a_watcher_is_woken_by_each_new_target_and_sees_the_newest() -> None:
    """However many there were meanwhile (xds-protocol 49)."""
    publisher = Publisher()
    assert not publisher.target
    with publisher.watch() as wake:
        assert not wake.is_set()
        first = Target()
        second = first.apply({resource("CDS", "a").key: resource("CDS", "a")})
        publisher.publish(first)
        publisher.publish(second)
        assert wake.is_set()
        assert publisher.target is second
        wake.clear()
        publisher.publish(second)
        assert not wake.is_set()
    publisher.publish(first)
    assert not wake.is_set()


def test_who_is_to_be_called_is_called_at_each_publication_and_no_longer_than_asked_for() -> None:
    """One that looks is enough (xds-protocol 49)."""
    publisher, calls = Publisher(), list[Target | None]()
    with publisher.calling(lambda: calls.append(publisher.target)):
        publisher.publish(first := Target())
        publisher.publish(first)
        publisher.wake()
    publisher.wake()
    assert calls == [first, first]
