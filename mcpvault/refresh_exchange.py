"""
What a refresh needs of OAuth and HTTP, put together for ``mcpvault.state``: redeem a refresh token, read the answer.

Decides nothing about when: that is ``state.refresh``'s. Nothing here is loaded before a refresh is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mcpvault.deadline import Deadline
from mcpvault.errors import ConnectFailedError
from mcpvault.http.asking import Asker
from mcpvault.http.failures import was_sent
from mcpvault.moved import is_missing
from mcpvault.oauth import dpop, flows
from mcpvault.oauth.token_response import error_of, read_token
from mcpvault.oauth.wire import Answer, json_object
from mcpvault.secret import Secret
from mcpvault.state.record import KeptAnswer, TokenRecord
from mcpvault.state.redemption import Exchange
from mcpvault.tokens import TokenSet

Reach = Callable[[Deadline], Asker]


def exchange_of(
    clients_of: Callable[[TokenRecord, Deadline], Iterator[flows.Client]],
    reach: Reach,
    *,
    server: str,
    moved: Callable[[flows.Client, Deadline], flows.Client | None],
    now: Callable[[], float],
    on_redeem: Callable[[int], None],
) -> Exchange:
    """
    Return the exchange of one entry.

    Args:
        clients_of: Yields the client that the record's tokens were issued to, with its keys; then the same client
            with other keys, which is asked for only where it is not believed with those, and may be waited for.
        reach: Who sends, within a deadline.
        server: The entry, for messages.
        moved: Returns the client at the token endpoint that its issuer names now, None where that is still the same.
        now: Unix seconds.
        on_redeem: Called with the generation whose token is about to be redeemed.
    """
    on_its_way = False  # a redemption that has left, and has no answer

    def redeem(record: TokenRecord, deadline: Deadline) -> Answer:
        nonlocal on_its_way
        on_its_way = False
        on_redeem(record.generation)
        clients = clients_of(record, deadline)
        answer = redeem_where_it_is(next(clients), record, deadline)
        # Who is not believed is told so before the grant is looked at: the token is not spent (RFC 6749 §5.2).
        while is_disbelief(answer) and (client := next(clients, None)) is not None:
            answer = redeem_where_it_is(client, record, deadline)
        return answer

    def redeem_where_it_is(client: flows.Client, record: TokenRecord, deadline: Deadline) -> Answer:
        failure: ConnectFailedError | None = None
        try:
            answer = redeem_as(client, record, deadline)
        except ConnectFailedError as error:
            failure = error
        # No token endpoint has seen the token. Where its issuer has another one now, that is asked.
        gone = failure is not None or is_missing(answer)
        if gone and (there := moved(client, deadline)) is not None:
            return redeem_as(there, record, deadline)
        if failure is not None:
            raise failure
        return answer

    def redeem_as(client: flows.Client, record: TokenRecord, deadline: Deadline) -> Answer:
        from mcpvault.http import tokens as door

        def leaving() -> None:
            nonlocal on_its_way
            on_its_way = True
            deadline.lift()

        nonlocal on_its_way
        registration, held = client.registration, record.tokens
        assert registration is not None and held is not None and held.refresh_token is not None  # noqa: S101
        nonce: str | None = None
        with reach(deadline) as ask:
            while True:
                form, headers = flows.authenticate(client, {}, now=now())
                if client.proof_key is not None:
                    proof = client.proof_key.proof(
                        method="POST", url=client.server.token_endpoint, now=now(), nonce=nonce
                    )
                    headers["DPoP"] = proof
                answer = door.redeem(
                    server=client.server,
                    registration=registration,
                    refresh_token=held.refresh_token,
                    resource=record.resource,
                    form={name: _text(value) for name, value in form.items()},
                    headers=headers,
                    session=ask.session(client.server.token_endpoint, discovered=True),
                    deadline=deadline,
                    leaving=leaving,
                )
                on_its_way = False
                if client.proof_key is None or nonce is not None:
                    return answer
                # Said before the grant is looked at: the token is not spent (RFC 9449 §8).
                nonce = dpop.nonce_from(answer.status, answer.headers, answer.body)
                if nonce is None:
                    return answer

    def read(kept: KeptAnswer, record: TokenRecord) -> TokenSet:
        # Of the record alone: the entry may be wrong meanwhile, which is no fault of the answer.
        held = record.tokens
        return read_token(
            Answer(status=kept.status, headers=kept.headers, body=kept.body),
            requested_scope=held.requested_scope if held else None,
            previous=held,
            now=kept.asked_at,
            expected_type="Bearer" if record.dpop_key is None else "DPoP",
            server_name=server,
            once=True,
        )

    return Exchange(redeem=redeem, was_sent=lambda error: on_its_way and was_sent(error), read=read)


def is_disbelief(answer: Answer) -> bool:
    """Tell whether the authorization server does not take the client for who it says it is."""
    return error_of(json_object(answer.body)) == "invalid_client"


def _text(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value
