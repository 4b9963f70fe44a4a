"""Headers of answers as clients of S3 expect them."""

from broker.gateway.headers import answered_headers


def test_names_of_metadata_are_in_lower_case_whatever_the_store_makes_of_them() -> None:
    received = [("X-Amz-Meta-Signature-Algorithm", "SHA256withRSA"), ("ETag", '"1"'), ("X-Secret", "x")]
    assert answered_headers(received) == [
        ("x-amz-meta-signature-algorithm", "SHA256withRSA"),
        ("ETag", '"1"'),
    ]
