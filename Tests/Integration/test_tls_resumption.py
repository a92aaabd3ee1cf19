"""Sessions that are resumed: everywhere where they may be, and nowhere else (hardening 136, 137)."""

import ssl

import pytest

from conftest import proxied, secure_listener
from sluice_harness import client_context, names, reply

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture
def listening(world, pki):
    def start(*listeners, workers=2):
        server = world.backend(lambda request, connection: reply(200, (request.header("client-cert") or "none").encode()))
        return world.gateway({"server": {"workers": workers}, "listeners": list(listeners), **proxied(server)})
    return start


def session_of(sluice, context, listener="secure", name="app.test", session=None):
    """Asks once; returns the session to resume, and whether this one was resumed."""
    with sluice.connect(listener, tls=context, server_name=name, session=session) as client:
        response = client.request(host=name)
        assert response.status == 200, response
        return client.socket.session, client.socket.resumed, response.body


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_comes_back_is_spared_the_handshake_and_counted(listening, pki, version):
    sluice = listening(secure_listener(pki.server))
    context = client_context(pki.root.ca_file, version=VERSIONS[version])
    session, resumed, _ = session_of(sluice, context)
    assert not resumed
    session, resumed, _ = session_of(sluice, context, session=session)
    assert resumed
    names.wait_count(lambda: names.handshakes(sluice, f"TLSv{version}", resumed=True), 1)
    assert names.handshakes(sluice, f"TLSv{version}", resumed=False) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_every_worker_knows_the_tickets_of_the_others(listening, pki, version):
    """Hardening 137."""
    sluice = listening(secure_listener(pki.server), workers=4)
    context = client_context(pki.root.ca_file, version=VERSIONS[version])
    session, _, _ = session_of(sluice, context)
    for _ in range(24):
        session, resumed, _ = session_of(sluice, context, session=session)
        assert resumed


def test_a_ticket_outlives_a_reload(listening, pki):
    sluice = listening(secure_listener(pki.server))
    context = client_context(pki.root.ca_file)
    session, _, _ = session_of(sluice, context)
    sluice.reload_altered()
    assert session_of(sluice, context, session=session)[1]


def test_session_tickets_can_be_switched_off(listening, pki):
    sluice = listening(secure_listener(pki.server, session_tickets=False))
    for version in VERSIONS.values():
        context = client_context(pki.root.ca_file, version=version)
        session, _, _ = session_of(sluice, context)
        if session is not None:
            assert not session_of(sluice, context, session=session)[1]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_of_an_open_listener_opens_none_that_asks_for_a_certificate(listening, pki, version):
    """Hardening 136."""
    sluice = listening(secure_listener(pki.server),
                       secure_listener(pki.server, name="other", client_auth={"ca_file": pki.clients.ca_file}))
    context = client_context(pki.root.ca_file, version=VERSIONS[version])
    session, _, _ = session_of(sluice, context)
    assert cannot_use(sluice, context, "other", "app.test", session)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_of_an_open_name_opens_none_that_asks_for_a_certificate(listening, pki, version):
    """Hardening 136: nginx CVE-2025-23419."""
    sluice = listening(secure_listener(pki.server, pki.other.entry(client_auth={"ca_file": pki.clients.ca_file})))
    context = client_context(pki.root.ca_file, version=VERSIONS[version])
    session, _, _ = session_of(sluice, context)
    assert cannot_use(sluice, context, "secure", "other.example.org", session)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_made_for_one_authority_is_not_taken_for_another(listening, pki, version):
    """Hardening 136."""
    sluice = listening(
        secure_listener(pki.server, client_auth={"ca_file": pki.clients.ca_file}),
        secure_listener(pki.server, name="other", client_auth={"ca_file": pki.stranger.ca_file}))
    context = client_context(pki.root.ca_file, version=VERSIONS[version], certificate=pki.client)
    session, _, _ = session_of(sluice, context)
    assert not session_of(sluice, context, session=session)[1], "where certificates are asked for, nothing is resumed"
    assert cannot_use(sluice, context, "other", "app.test", session)


def cannot_use(sluice, context, listener, name, session) -> bool:
    try:
        _, resumed, body = session_of(sluice, context, listener, name, session)
    except (ssl.SSLError, ConnectionError, AssertionError):
        return True
    raise AssertionError(f"a request got through, resumed {resumed}: {body!r}")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumed_session_still_has_the_clients_identity(listening, pki, version):
    sluice = listening(secure_listener(pki.server, client_auth={"ca_file": pki.clients.ca_file}))
    context = client_context(pki.root.ca_file, version=VERSIONS[version], certificate=pki.client)
    session, _, first = session_of(sluice, context)
    assert first.startswith(b":")
    _, _, second = session_of(sluice, context, session=session)
    assert second == first


def test_a_session_does_not_outlive_a_change_of_the_authority(listening, pki):
    """Hardening 136: the authority that vouched for the client is no longer trusted."""
    sluice = listening(secure_listener(pki.server, client_auth={"ca_file": pki.clients.ca_file}))
    context = client_context(pki.root.ca_file, certificate=pki.client)
    session, _, _ = session_of(sluice, context)
    text = sluice.config_text.replace(pki.clients.ca_file, pki.stranger.ca_file)
    sluice.config_path.write_text(text)
    sluice.reload()
    assert cannot_use(sluice, context, "secure", "app.test", session)


def test_a_session_does_not_outlive_the_revocation_of_its_client(listening, pki):
    listener = secure_listener(pki.server, client_auth={
        "ca_file": pki.clients.ca_file, "crl_file": pki.clients.revocation_list(file="session.crl")})
    sluice = listening(listener)
    context = client_context(pki.root.ca_file, certificate=pki.client)
    session, _, _ = session_of(sluice, context)
    pki.clients.revocation_list(pki.client, file="session.crl")
    sluice.reload()
    assert cannot_use(sluice, context, "secure", "app.test", session)


def test_a_session_is_not_resumed_for_another_name(listening, pki):
    """Hardening 136: a session belongs to its name."""
    sluice = listening(secure_listener(pki.server, pki.other))
    context = client_context(pki.root.ca_file)
    session, _, _ = session_of(sluice, context)
    with sluice.connect("secure", tls=context, server_name="other.example.org", session=session) as client:
        assert not client.socket.resumed and client.socket.peer_der == pki.other.der
        assert client.request(host="other.example.org").status == 200


def test_a_damaged_ticket_means_a_whole_handshake(listening, pki):
    """A session of another daemon, whose keys this one does not have."""
    one = listening(secure_listener(pki.server))
    context = client_context(pki.root.ca_file)
    session, _, _ = session_of(one, context)
    two = listening(secure_listener(pki.server))
    _, resumed, _ = session_of(two, context, session=session)
    assert not resumed
