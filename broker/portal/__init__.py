"""The pages: how people sign in with a browser, see the roles that are theirs, and get credentials.

Owns the portal's listener (an aiohttp application), its sessions and cookies, and every page: one file here, one in
`templates/`, its words in `texts/`. A page that does something performs the operation of the API, for the caller that
the session proves (`broker.performing`): what the gate refuses there, it refuses here.

Never decides anything itself, never stores a credential, never redirects to where a request says.

HTML is escaped by jinja2. Forms carry a token of their session (OWASP, "Cross-Site Request Forgery Prevention").
Cookies are those of RFC 6265bis, with `__Host-` under TLS; what a page may load is said in CSP level 3. Records are
CloudTrail's ("AWS Management Console sign-in events").
"""
