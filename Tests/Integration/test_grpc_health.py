"""Health checks by gRPC: what the standard health service says of a server is believed, and nothing else is."""

import pytest

from conftest import PATIENT, h2_gateway
from sluice_harness import until
from sluice_harness.grpc_backend import NOT_SERVING, SERVING, Calls, grpc, grpc_server, message
from sluice_harness.states import wait_instance
from sluice_harness.waiting import seconds

CHECK = {"type": "grpc", "interval": "200ms", "timeout": "1s", "rise": 1, "fall": 1}


def before(world, *servers, **check):
    """A daemon that checks these servers; the blocks are those of the check."""
    return h2_gateway(world, *servers, service={**PATIENT, "health_check": {**CHECK, **check}})


def status_of_call(sluice) -> int:
    with Calls(f"127.0.0.1:{sluice.ports['clear']}") as calls:
        try:
            calls.unary(b"x", timeout=seconds(5))
            return 0
        except grpc.RpcError as error:
            return error.code().value[0]


def test_a_server_that_says_it_serves_gets_calls_and_one_that_does_not_gets_none(world):
    good, bad = grpc_server(world), grpc_server(world)
    bad.health[""] = NOT_SERVING
    sluice = before(world, good, bad)
    bad.wait_for(lambda: bad.health_asked, 5, "a check")
    until(lambda: status_of_call(sluice) == 0, 5, "the good one is found")
    assert [status_of_call(sluice) for _ in range(20)] == [0] * 20
    assert bad.calls == []


def test_a_check_asks_after_its_service_and_believes_each_answer(world):
    server = grpc_server(world)
    server.health["mine"] = SERVING
    sluice = before(world, server, grpc_service="mine")
    name = f"127.0.0.1:{server.port}"
    wait_instance(sluice, name, "healthy")
    assert set(server.health_asked) == {"mine"} and status_of_call(sluice) == 0
    server.health["mine"] = NOT_SERVING
    wait_instance(sluice, name, "failed", 10)
    assert status_of_call(sluice) == 14
    server.health["mine"] = SERVING
    wait_instance(sluice, name, "healthy", 10)
    assert status_of_call(sluice) == 0
    del server.health["mine"]       # NOT_FOUND
    wait_instance(sluice, name, "failed", 10)


def test_a_check_without_a_service_asks_after_the_server(world):
    server = grpc_server(world)
    wait_instance(before(world, server), f"127.0.0.1:{server.port}", "healthy")
    assert set(server.health_asked) == {""}


def test_a_server_that_does_not_know_the_health_service_fails_its_checks(world):
    server = world.h2_backend(lambda stream: stream.head(200, [("content-type", "application/grpc"), ("grpc-status", "12")], end=True))
    wait_instance(before(world, server), f"127.0.0.1:{server.port}", "failed", 10)


@pytest.mark.parametrize("answer", ["no trailers", "a long length", "two messages", "not grpc", "never", "no message"])
def test_an_answer_that_is_none_fails_the_check(world, answer):
    def handler(stream):
        kind = [("content-type", "text/html" if answer == "not grpc" else "application/grpc")]
        if answer == "never":
            stream.wait_reset()
        stream.head(200, kind)
        stream.send({
            "a long length": b"\0\xff\xff\xff\xff\x08\x01", "two messages": message(b"\x08\x01") * 2, "no message": b"",
        }.get(answer, message(b"\x08\x01")))
        if answer == "no trailers":
            stream.end()
        else:
            stream.end([("grpc-status", "0")])
    server = world.h2_backend(handler)
    wait_instance(before(world, server), f"127.0.0.1:{server.port}", "failed", 10)
