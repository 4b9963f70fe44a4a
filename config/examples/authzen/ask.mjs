// May PRINCIPAL do ACTION on RESOURCE? Usage: node ask.mjs PRINCIPAL ACTION RESOURCE. Endpoint and keys come from the environment.
import { SignatureV4 } from "@smithy/signature-v4";
import { Sha256 } from "@aws-crypto/sha256-js";

const [principal, action, resource] = process.argv.slice(2);
const { AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env;
const url = new URL("/access/v1/evaluation", AWS_ENDPOINT_URL);
const signer = new SignatureV4({
  service: "broker",
  region: AWS_REGION,
  sha256: Sha256,
  credentials: {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    sessionToken: AWS_SESSION_TOKEN,
  },
});
const body = JSON.stringify({
  subject: { type: "principal", id: principal },
  action: { name: action },
  resource: { type: "resource", id: resource },
});
const { method, headers } = await signer.sign({
  method: "POST",
  protocol: url.protocol,
  hostname: url.hostname,
  path: url.pathname,
  query: {},
  headers: { host: url.host, "content-type": "application/json" },
  body,
});
const answer = await fetch(url, { method, headers, body });
console.log(await answer.text());
process.exitCode = answer.ok ? 0 : 1;
