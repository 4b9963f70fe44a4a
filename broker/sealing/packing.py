"""Packing: prepares a body for an envelope. Long ones are compressed; all are padded; unpacking is bounded.

A packed body is `form (1) | length (3, big-endian) | content | zeros`. Form 1 is the body itself, form 2
its raw deflate stream (RFC 1951) with POLICY_WORDS as the dictionary. INVARIANT: forms and POLICY_WORDS never change,
because tokens that were packed with them are in use; another dictionary gets another form.
"""

import zlib
from struct import Struct

from broker.sealing.envelope import OVERHEAD, SealBroken

PLAIN, DEFLATED = 1, 2
HEADER_SIZE = 4
COMPRESSED_ABOVE = 320  # bytes; for less, compression costs more time than the saved bytes are worth
LARGEST_BODY = 1 << 17  # bytes; no set of policies and tags that could fit a token is larger

_header = Struct(">I").pack

# The preset dictionary of deflate: frequent parts of session policies, the most frequent last.
POLICY_WORDS = (
    b"arn:aws:dynamodb:us-east-1:arn:aws:sqs:us-east-1:arn:aws:sns:us-east-1:arn:aws:lambda:us-east-1:"
    b"arn:aws:kms:us-east-1:arn:aws:secretsmanager:us-east-1:arn:aws:ec2:*:arn:aws:iam::aws:policy/"
    b"ReadOnlyAccessPowerUserAccessAdministratorAccess"
    b'"DateLessThan":{"DateGreaterThan":{"NumericLessThanEquals":{"IpAddress":{"NotIpAddress":{"ArnLike":{'
    b'"ArnEquals":{"Null":{"Bool":{"StringNotEquals":{"StringLike":{"StringEquals":{"ForAnyValue:StringEquals"'
    b'"ForAllValues:StringEquals""aws:CurrentTime":"aws:SecureTransport":"true""false""aws:SourceIp":'
    b'"aws:RequestedRegion":"aws:ResourceTag/aws:RequestTag/aws:PrincipalTag/"aws:TagKeys""aws:SourceIdentity"'
    b'"aws:PrincipalOrgID""aws:MultiFactorAuthPresent""s3:prefix":["s3:delimiter":"/"'
    b"logs:PutLogEventslogs:CreateLogStreamlogs:CreateLogGroupkms:Decryptkms:GenerateDataKey*kms:DescribeKey"
    b"sts:AssumeRoleiam:PassRoleec2:Describe*lambda:InvokeFunctionsqs:SendMessagesqs:ReceiveMessage"
    b"dynamodb:GetItemdynamodb:PutItemdynamodb:Querydynamodb:UpdateItem"
    b'"s3:GetBucketLocation","s3:ListBucket","s3:DeleteObject","s3:AbortMultipartUpload","s3:PutObject",'
    b'"s3:GetObject"s3:*"NotAction":["NotResource":["Sid":""Effect":"Deny","Condition":{'
    b'"Resource":["arn:aws:s3:::"Resource":"*"}]}{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
    b'"Action":["'
)


def pack(body: bytes, smallest: int = 0) -> bytes:
    """`body` packed into at least `smallest` bytes, rounded up so that its envelope is a multiple of three bytes.

    Raises ValueError for a body over LARGEST_BODY, which `unpack` would refuse.
    """
    form, content = (PLAIN, body) if len(body) <= COMPRESSED_ABOVE else _shorter(body)
    size = HEADER_SIZE + len(content)
    if size < smallest:
        size = smallest
    size += -(size + OVERHEAD) % 3
    return _header(form << 24 | len(content)) + content.ljust(size - HEADER_SIZE, b"\0")


def _shorter(body: bytes) -> tuple[int, bytes]:
    if len(body) > LARGEST_BODY:
        raise ValueError(f"a body of {len(body)} bytes is more than the {LARGEST_BODY} that can be packed")
    deflated = deflate(body)
    return (DEFLATED, deflated) if len(deflated) < len(body) else (PLAIN, body)


def unpack(packed: bytes) -> bytes:
    """The body of `packed`; raises SealBroken for an unknown form, and for a body larger than LARGEST_BODY."""
    header = int.from_bytes(packed[:HEADER_SIZE], "big")
    form, size = header >> 24, header & 0xFFFFFF
    content = packed[HEADER_SIZE : HEADER_SIZE + size]
    if len(packed) < HEADER_SIZE or len(content) != size:
        raise SealBroken("a packed body is shorter than it says")
    if form == PLAIN:
        return content
    if form == DEFLATED:
        return _inflate(content)
    raise SealBroken(f"packing form {form} is unknown: sealed by a newer version")


def deflate(body: bytes) -> bytes:
    """Raw deflate with POLICY_WORDS as the dictionary. Window and memory are small, because the bodies are."""
    # Compressed length can reveal a secret beside chosen text (CRIME); the claims contain none, for it is derived.
    compressor = zlib.compressobj(6, zlib.DEFLATED, -13, 6, zlib.Z_DEFAULT_STRATEGY, POLICY_WORDS)
    return compressor.compress(body) + compressor.flush()


def _inflate(content: bytes) -> bytes:
    decompressor = zlib.decompressobj(-15, POLICY_WORDS)
    try:
        body = decompressor.decompress(content, LARGEST_BODY)
    except zlib.error:
        raise SealBroken("a packed body does not decompress") from None
    if not decompressor.eof or decompressor.unconsumed_tail or decompressor.unused_data:
        raise SealBroken(f"a packed body is damaged, or larger than {LARGEST_BODY} bytes")
    return body
