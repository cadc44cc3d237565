"""Connections that are silent make room for those that ask."""

import pytest

from optimum_ose.serving.crowd import Crowd


class Client:
    """A connection that notes when it is turned away."""

    def __init__(self) -> None:
        self.is_gone = False

    def turn_away(self) -> None:
        self.is_gone = True


class Clock:
    """A clock that a test sets."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def crowd_of(clock: Clock, count: int, *, most: int) -> tuple[Crowd, list[Client]]:
    crowd, clients = Crowd(most, now=clock), [Client() for _ in range(count)]
    for client in clients:
        crowd.add(client)
    return crowd, clients


def gone(clients: list[Client]) -> list[int]:
    return [index for index, client in enumerate(clients) if client.is_gone]


def test_the_longest_silent_ones_make_room_after_a_second(clock: Clock) -> None:
    crowd, clients = crowd_of(clock, 6, most=4)
    assert gone(clients) == []
    clock.time = 1.0
    crowd.add(Client())
    assert gone(clients) == [0, 1, 2]


def test_beyond_twice_as_many_young_ones_make_room_too(clock: Clock) -> None:
    _, clients = crowd_of(clock, 11, most=4)
    assert gone(clients) == [0, 1, 2]


def test_those_that_never_asked_go_before_those_that_rest_and_busy_ones_stay(clock: Clock) -> None:
    crowd, clients = crowd_of(clock, 8, most=4)
    for client in clients[:2]:
        crowd.ask(client)
    crowd.rest(clients[0])
    clock.time = 5.0
    last = Client()
    crowd.add(last)
    assert gone(clients) == [2, 3, 4, 5, 6]
    crowd.ask(clients[7])
    crowd.ask(last)
    crowd.add(Client())
    assert gone(clients) == [0, 2, 3, 4, 5, 6]


def test_where_all_are_busy_a_newcomer_beyond_twice_as_many_is_turned_away(clock: Clock) -> None:
    crowd, clients = crowd_of(clock, 4, most=2)
    for client in clients:
        crowd.ask(client)
    assert crowd.is_full
    newcomer = Client()
    crowd.add(newcomer)
    assert newcomer.is_gone
    assert gone(clients) == []
    for client in clients[:2]:
        crowd.remove(client)
    assert not crowd.is_full
