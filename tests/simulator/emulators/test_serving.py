"""Those who are connected to an emulated detector."""

import socket
from threading import Event, Thread

from helpers.waiting import wait_until
from livestrain_simulator.emulators.serving import POLL_SECONDS, Audience


def test_only_those_who_are_sent_all_of_a_message_are_counted() -> None:
    audience, stop = Audience(), Event()
    pairs = [socket.socketpair() for _ in range(3)]
    threads = [Thread(target=audience.serve, args=(ours, stop), daemon=True) for ours, _ in pairs]
    for (ours, _), thread in zip(pairs, threads, strict=True):
        ours.settimeout(POLL_SECONDS)
        thread.start()
    wait_until(lambda: len(audience) == 3, 20, "three listeners")
    assert audience.send(b"all", lambda: False) == 3
    broken = pairs[1][0]
    broken.shutdown(socket.SHUT_WR)
    assert audience.send(b"two", lambda: False) == 2
    wait_until(lambda: len(audience) == 2, 20, "one gone")
    assert audience.send(bytes(1 << 24), lambda: True) == 0
    stop.set()
    for thread in threads:
        thread.join()
    for pair in pairs:
        for one in pair:
            one.close()
