"""One request judged: its caller proven, and the gate asked everything that the request needs."""

from collections.abc import Mapping, Sequence

from broker.errors import Refusal
from broker.gateway.bodies import Deletion, read_tags
from broker.gateway.condition_keys import JudgedBody, Keys, request_keys, signature_keys
from broker.gateway.deciding import Buckets, find_bucket, require_all
from broker.gateway.exchange import Exchange, Gateway
from broker.gateway.headers import refuse_chosen_headers, require_known_directives, require_owner
from broker.gateway.operations import AnsweredBy, S3Level
from broker.gateway.permissions import (
    CopySource,
    NeededPermission,
    questions,
    questions_of_key,
    questions_of_tags,
    read_source,
)
from broker.gateway.proving import anonymous, prove, prove_form
from broker.gateway.refusals import store_failed
from broker.gateway.store import Outgoing, read_answer
from broker.performing import record_caller
from broker.sigv4.payload import UNSIGNED, PayloadForm, read_payload_form
from broker.sigv4.verify import UNSIGNED_PAYLOAD, VerifiedRequest
from broker.storage.store import Transaction

_LARGEST_TAGGING = 64 << 10  # bytes


class Judgement:
    """Judges the request of `exchange`, in whatever transaction it is called with; so it may be called again."""

    def __init__(self, gateway: Gateway, exchange: Exchange) -> None:
        self._gateway, self._exchange = gateway, exchange
        self.source: CopySource | None = None
        if exchange.operation.copies:
            self.source = read_source(exchange.incoming.header("x-amz-copy-source"), gateway.rules)
            require_known_directives(exchange.incoming)
        self.body = JudgedBody()
        self._found: Buckets = {}
        self.verified: VerifiedRequest | None = None
        self.form: PayloadForm = UNSIGNED

    async def prove(self, store: Transaction) -> None:
        """Raises Refusal with S3's codes."""
        gateway, exchange = self._gateway, self._exchange
        if exchange.authorization is None:
            exchange.caller = anonymous(is_allowed=gateway.allows_anonymous)
            refuse_chosen_headers(exchange.incoming)
        elif exchange.posted_policy:
            exchange.caller = await prove_form(
                gateway.prover, store, exchange.authorization, exchange.posted_policy, exchange.facts.now
            )
        else:
            exchange.caller, self.verified = await prove(
                gateway.prover, store, exchange.unverified, exchange.authorization, exchange.facts.now
            )
            algorithm = exchange.authorization.signer.scope.algorithm
            self.form = read_payload_form(self.verified.payload, algorithm)
        record_caller(gateway.store, exchange.event, exchange.facts, exchange.caller)

    async def __call__(self, store: Transaction) -> None:
        """Pass, or raise Refusal. The keys of DeleteObjects are judged one by one, by `judge_key`."""
        self._found = {}
        await self.prove(store)
        await self._require_owners(store)
        if self._exchange.operation.answer is not AnsweredBy.EACH_KEY:
            incoming, operation = self._exchange.incoming, self._exchange.operation
            await self._require(store, questions(incoming, operation, self.source, self._keys()))
            if self.source is not None and operation.name == "CopyObject" and self._gateway.fetches_tags:
                await self._require_copied_tags(store, self.source)

    async def judge_key(self, store: Transaction, deletion: Deletion) -> None:
        self._found = {}
        incoming, operation = self._exchange.incoming, self._exchange.operation
        await self._require(store, questions_of_key(incoming, operation, deletion, self._keys()))

    async def _require_copied_tags(self, store: Transaction, source: CopySource) -> None:
        """The clause: "if the source object has tags", s3:GetObjectTagging of it and s3:PutObjectTagging of the copy.

        Asked only once the copy itself is allowed.
        """
        incoming = self._exchange.incoming
        if incoming.header("x-amz-tagging-directive") == "REPLACE":
            return  # x-amz-tagging has been judged with the copy
        asked = questions_of_tags(incoming, source, self._keys())
        if await self._fetch_tags(asked[0]):
            await self._require(store, asked)

    async def require_list(self, store: Transaction) -> None:
        """Whether an object exists is shown only to who may list the bucket: "if you don't have the s3:ListBucket
        permission, Amazon S3 returns an HTTP status code 403".
        """
        await self._require(
            store, [NeededPermission("s3:ListBucket", self._exchange.incoming.bucket, "", self._keys())]
        )

    async def _require(self, store: Transaction, asked: Sequence[NeededPermission]) -> None:
        gateway, exchange = self._gateway, self._exchange
        assert exchange.caller is not None
        fetch = self._fetch_tags if gateway.fetches_tags else None
        await require_all(gateway.gate, store, exchange.caller, exchange.facts, asked, fetch, self._found)

    def _keys(self) -> Keys:
        exchange = self._exchange
        # Of a form the policy is signed, and nothing of the file.
        payload = self.verified.payload if self.verified is not None else UNSIGNED_PAYLOAD
        keys = request_keys(exchange.incoming, exchange.operation, self.body, exchange.facts.now)
        if self.source is not None:
            keys["s3:x-amz-copy-source"] = f"{self.source.bucket}/{self.source.key}"
        keys |= signature_keys(
            exchange.authorization,
            payload,
            exchange.facts.now,
            exchange.tls_version,
            is_form=bool(exchange.posted_policy),
        )
        return keys

    async def _require_owners(self, store: Transaction) -> None:
        """The buckets are somebody's, and whose the client expects. CreateBucket's is nobody's yet."""
        exchange, gateway = self._exchange, self._gateway
        if exchange.operation.level is not S3Level.SERVICE and exchange.operation.name != "CreateBucket":
            exchange.owner = (
                await find_bucket(gateway.gate, store, exchange.incoming.bucket, self._found)
            ).account
            require_owner(exchange.incoming, "x-amz-expected-bucket-owner", exchange.owner)
        if self.source is not None:
            owner = (await find_bucket(gateway.gate, store, self.source.bucket, self._found)).account
            require_owner(exchange.incoming, "x-amz-source-expected-bucket-owner", owner)

    async def _fetch_tags(self, question: NeededPermission) -> Mapping[str, str]:
        """The tags of an object in the store; none where there is no such object. Raises Refusal."""
        version = question.keys.get("s3:versionid", "")
        query = [("tagging", ""), *([("versionId", str(version))] if version else [])]
        request = Outgoing("GET", question.bucket, question.key, query)
        async with await self._gateway.backing.send(request) as answer:
            text = await read_answer(answer, _LARGEST_TAGGING)
            if answer.status == 404:
                return {}
            if answer.status != 200:
                raise store_failed(f"the store answers {answer.status} to GetObjectTagging")
        try:
            return read_tags(text)
        except Refusal as refusal:
            raise store_failed(f"the store's tags cannot be read: {refusal.reason}") from None
