"""What every answer tells the browser: what a page may load, who may frame it, and what to forget.

# DANGER: `form-action 'self'` also stops redirects that follow a form to another host (in Chromium). A page that sends
people to an identity provider by a form has to name the provider's origin in its own policy.
"""

from urllib.parse import urlsplit

from aiohttp import web

_POLICY_HEADER = "Content-Security-Policy"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_ALWAYS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Not `no-referrer`: under that a browser sends `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Server": "broker",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_UNDER_TLS = {"Strict-Transport-Security": "max-age=31536000"}


def add_headers(response: web.StreamResponse, *, is_secure: bool) -> None:
    response.headers.update(_ALWAYS)
    response.headers.setdefault(_POLICY_HEADER, _POLICY)
    if is_secure:
        response.headers.update(_UNDER_TLS)
    # Every page shows who is signed in, or has a token in its forms.
    response.headers.setdefault("Cache-Control", "no-store")


def has_headers(response: web.StreamResponse) -> bool:
    return _POLICY_HEADER in response.headers


def forms_may_lead_to(response: web.StreamResponse, proven_url: str) -> None:
    """Forms of this page may end in a redirect to the origin of this URL, of which it is known whose it is."""
    parts = urlsplit(proven_url)
    own = f"form-action 'self' {parts.scheme}://{parts.netloc}"
    response.headers[_POLICY_HEADER] = _POLICY.replace("form-action 'self'", own)
