"""Registration and bootstrap: what is told, when, to whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.virtual.defects.defect import ESP32, Area, Patch, always
from bench.virtual.firmware import client
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.application import Application
from bench.virtual.firmware.bootstrap import Bootstrap
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.dtls import SecureLink

REGISTERING = Area("registration, bootstrap and strangers")


def _ignores_trigger(server: Any) -> Any:
    server.resources[8].execute = lambda arguments: coap.CHANGED
    return server


@REGISTERING(
    Application, "_server_instance", source="own", hints=("test_coap.py::test_request_that_comes_twice",)
)
def update_trigger_ignored(healthy: Any) -> Any:
    """Registration Update Trigger (/1/0/8) is answered 2.04, and no Update follows."""
    return lambda self: _ignores_trigger(healthy(self))


@REGISTERING(
    Application, "_server_instance", source="own", hints=("test_coap.py::test_request_that_comes_twice",)
)
def update_trigger_leads_to_a_register(healthy: Any) -> Any:
    """Registration Update Trigger (/1/0/8) makes the client register anew."""

    def instance(self: Application) -> Any:
        made = healthy(self)

        def trigger(arguments: bytes) -> int:
            assert self._client is not None
            self._client._location = ()
            self._client.renew()
            return coap.CHANGED

        made.resources[8].execute = trigger
        return made

    return instance


@REGISTERING(
    Client,
    "_exchange",
    source="own",
    hints=("test_rollback.py::test_settings_survive_a_rollback",),
)
def new_lifetime_not_told(healthy: Any) -> Any:
    """The Update after a changed lifetime does not tell it."""

    def exchange(self: Client, message: Any, destination: Any) -> Any:
        if message.code == coap.POST and message.all(coap.URI_PATH) == list(self._location):
            message.options = [o for o in message.options if not o[1].startswith(b"lt=")]
        return (yield from healthy(self, message, destination))

    return exchange


@REGISTERING(Client, "deregister", source="own", hints=("test_reboot.py::test_reboot_in_idle",))
def farewell_at_the_wrong_location(healthy: Any) -> Any:
    """De-registration goes to /rd, not to the location of the registration."""

    def deregister(self: Client) -> Any:
        self._location = self._location[:1]
        yield from healthy(self)

    return deregister


@REGISTERING(
    Client,
    "deregister",
    source="own",
    hints=(),
    equivalent="no clause asks for it: LwM2M 1.0, 5.3.3 recommends it to who will not be back",
)
def leaves_without_a_farewell(healthy: Any) -> Any:
    """An orderly restart does not de-register."""

    def deregister(self: Client) -> Any:
        yield 0.0

    return deregister


@REGISTERING(
    Client,
    "_at_location",
    source="own",
    hints=("test_identity.py::test_registration_after_it_was_forgotten",),
)
def updates_go_to_the_first_location(healthy: Any) -> Any:
    """After a second Register the Updates still go to the location of the first."""

    def at_location(self: Client, code: int) -> Any:
        first = self.__dict__.setdefault("_first", self._location)
        held, self._location = self._location, first
        message = healthy(self, code)
        self._location = held
        return message

    return at_location


@REGISTERING(
    client,
    "RETRY_FIRST",
    source="own",
    also=(Patch(client, "RETRY_MOST", always(0.2)),),
    hints=(),
    equivalent="no clause says how soon a Register that was answered with an error may be sent again",
)
def register_refused_and_tried_without_pause(healthy: Any) -> Any:
    """A Register that was refused is sent again five times a second."""
    return 0.2


@REGISTERING(
    client,
    "UPDATE_SHARE",
    source="own",
    hints=("test_update_current.py::test_floor_after_an_update_that[nrf9160-succeeds",),
)
def registration_renewed_all_the_time(healthy: Any) -> Any:
    """An Update of the registration is sent fifty times within its lifetime."""
    return 0.02


@REGISTERING(Client, "_links", source="own", hints=("test_coap.py::test_what_a_registration_says",))
def security_object_listed(healthy: Any) -> Any:
    """The list of objects in Register has the Security object."""
    return lambda self: healthy(self) + ",</0/0>"


@REGISTERING(Client, "_links", source="own", hints=("test_coap.py::test_what_a_registration_says",))
def device_object_not_listed(healthy: Any) -> Any:
    """The list of objects in Register leaves out Device, which is there."""
    return lambda self: healthy(self).replace(",</3/0>", "")


@REGISTERING(
    Client, "_links", source="own", boards=ESP32, hints=("test_coap.py::test_what_a_registration_says",)
)
def object_version_not_listed(healthy: Any) -> Any:
    """Object 5 has resources of version 1.1, and the list of objects does not say so."""
    return lambda self: ",".join(link for link in healthy(self).split(",") if ";ver=" not in link)


@REGISTERING(
    Client, "_register_message", source="own", hints=("test_coap.py::test_what_a_registration_says",)
)
def register_without_the_lwm2m_version(healthy: Any) -> Any:
    """Register does not say which version of LwM2M it is for."""

    def register_message(self: Client, account: Any) -> Any:
        message = healthy(self, account)
        message.options = [o for o in message.options if not o[1].startswith(b"lwm2m=")]
        return message

    return register_message


@REGISTERING(Application, "_provision", source="own", hints=("test_bootstrap.py::test_account_is_learned",))
def lifetime_of_the_bootstrap_ignored(healthy: Any) -> Any:
    """A client that was bootstrapped registers with a lifetime of its own, not that of its Server object."""

    def provision(self: Application) -> Any:
        found, told = healthy(self), self._told()
        return replace(found, lifetime=told.lifetime) if found is not None and told is not None else found

    return provision


@REGISTERING(
    Bootstrap,
    "_server_of_accounts",
    source="own",
    hints=(),
    equivalent="a bootstrap server's account has no Short Server ID, which a Server instance could go with",
)
def account_of_the_bootstrap_server_registered_with(healthy: Any) -> Any:
    """The first Security instance is registered with, also where it is the bootstrap server's."""

    def server_of_accounts(self: Bootstrap) -> Any:
        for security in self._written[0].values():
            security[1] = False
        return healthy(self)

    return server_of_accounts


@REGISTERING(
    Bootstrap,
    "_server_of_accounts",
    source="own",
    hints=(),
    equivalent="no board file says that a device takes two accounts, and one has no order",
)
def accounts_paired_by_their_order(healthy: Any) -> Any:
    """Security and Server instances are put together by their order, not by the Short Server ID."""

    def server_of_accounts(self: Bootstrap) -> Any:
        servers = [self._written[1][number] for number in sorted(self._written[1])]
        secured = [s for _, s in sorted(self._written[0].items()) if not s[1]]
        for security, server in zip(secured, servers, strict=False):
            security[10] = server[0]
        return healthy(self)

    return server_of_accounts


@REGISTERING(
    Application, "_tree", source="own", hints=("test_bootstrap.py::test_account_outlasts_an_update",)
)
def account_of_the_bootstrap_lost_by_the_update(healthy: Any) -> Any:
    """The new version does not find the account that was bootstrapped, and asks for it again."""

    def tree(self: Application, update: Any, components: Any) -> Any:
        if self._running.version != "1.0.0":
            self._settings.values.pop("account", None)
        return healthy(self, update, components)

    return tree


# ---- requests of others


@REGISTERING(Client, "_knows", source="seen in a running client", hints=("test_strangers.py::test_stranger",))
def strangers_are_served(healthy: Any) -> Any:
    """Requests are served from wherever they come."""
    return lambda self, source: True


@REGISTERING(
    Client,
    "_knows",
    source="seen in a running client",
    boards=ESP32,
    hints=("test_strangers.py::test_stranger",),
)
def served_in_the_clear(healthy: Any) -> Any:
    """A device that talks DTLS to its server serves whoever asks it in the clear."""
    return lambda self, source: (
        healthy(self, source) or (self._server in self._link._secured and source not in self._link._secured)
    )


@REGISTERING(
    SecureLink, "_receive", source="own", boards=ESP32, hints=("test_strangers.py::test_server_in_the_clear",)
)
def clear_message_taken_beside_dtls(healthy: Any) -> Any:
    """What comes in the clear from the server's own address is taken for a message of the session."""

    def receive(self: SecureLink, data: bytes, address: Any) -> None:
        if address in self._secured and data and data[0] >> 6 == 1:  # CoAP, version 1
            self._heard(data, address)
        else:
            healthy(self, data, address)

    return receive


@REGISTERING(
    Client,
    "_knows",
    source="own",
    hints=("test_identity.py::test_requests_before_the_registration_is_acknowledged",),
)
def served_before_the_registration(healthy: Any) -> Any:
    """The server is served before it has acknowledged the registration."""
    return lambda self, source: source == self.account.server
