// Passkeys: the browser asks an authenticator for what the form says, and the form sends what it answers.
"use strict";

const octets = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0));
const base64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
const credentials = (list) => list.map((one) => ({ ...one, id: octets(one.id) }));

async function create(options) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: octets(options.challenge),
      user: { ...options.user, id: octets(options.user.id) },
      excludeCredentials: credentials(options.excludeCredentials),
    },
  });
  return [made, { attestationObject: base64url(made.response.attestationObject) }];
}

async function get(options) {
  const found = await navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: octets(options.challenge),
      allowCredentials: credentials(options.allowCredentials),
    },
  });
  const { authenticatorData, signature, userHandle } = found.response;
  return [
    found,
    {
      authenticatorData: base64url(authenticatorData),
      signature: base64url(signature),
      ...(userHandle && { userHandle: base64url(userHandle) }),
    },
  ];
}

for (const form of document.querySelectorAll("[data-passkey]")) {
  const status = form.querySelector("[role=status]");
  const button = form.querySelector("button");
  const ask = async () => {
    button.disabled = true;
    status.textContent = form.dataset.waiting;
    try {
      const options = JSON.parse(form.dataset.options);
      const [credential, response] = await (form.dataset.passkey === "create" ? create : get)(options);
      form.elements.passkey.value = JSON.stringify({
        id: credential.id,
        rawId: base64url(credential.rawId),
        type: credential.type,
        response: { clientDataJSON: base64url(credential.response.clientDataJSON), ...response },
      });
      form.submit();
    } catch (error) {
      // InvalidStateError: the authenticator has one of the passkeys that are known already.
      status.textContent = error.name === "InvalidStateError" ? form.dataset.known : form.dataset.failed;
      button.disabled = false;
    }
  };
  if (window.PublicKeyCredential) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask();
    });
    if ("starts" in form.dataset) ask();
  } else {
    status.textContent = form.dataset.unsupported;
    button.disabled = true;
  }
}
