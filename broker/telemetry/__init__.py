"""What the broker tells a collector of OpenTelemetry: a span for each request, and the metrics, by OTLP over HTTP.

Owns the translation into OpenTelemetry's data, and its sending through the official SDK, which is the extra `otlp` of
the package: no other room imports it, and nothing imports this one where `otlp.endpoint` is empty. Never names a
caller, a resource or a secret; never makes a request wait, and never fails one. Threads of their own send, what waits
for them is bounded, and what finds no room is dropped.
Obeys: the OpenTelemetry specification (traces, metrics, OTLP/HTTP), W3C Trace Context for the parent of a span.
"""
