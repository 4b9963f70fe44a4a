"""Keys, and what they seal: the keyring, AEAD envelopes, session tokens; and one-time codes.

Owns every secret-key operation but request signatures: which key seals, which still opens, the payloads
inside session tokens, the secret access keys derived from them, RFC 6238 codes. Pure: `now` (epoch
seconds) and entropy are arguments. Never reads a clock, a file or a store, never prints a secret, and
never shows a client why a seal is broken. Obeys NIST SP 800-38D (AES-GCM), RFC 5869 (HKDF), RFC 2104
(HMAC), RFC 7693 (BLAKE2), RFC 6238 (TOTP).

    key.py       SealingKey: one key, its state and the ciphers made from it
    keyring.py   staged -> primary -> retired; rotation as pure steps
    master.py    the master key, and the keyring sealed by it
    envelope.py  version, key id, nonce, ciphertext; the law of sealing
    packing.py   body -> compressed, padded plaintext; unpacking is bounded
    claims.py    the payloads of session tokens: frozen, tagged, append-only
    session.py   tokens and their derived secrets: mint and open
    message.py   text forms of sealed messages, for other purposes
    totp.py      one-time codes, seeds, enrolment as URI and QR picture
"""
