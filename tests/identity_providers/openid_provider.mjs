// An OpenID provider, as a test configures it: node openid_provider.mjs LIBRARY SETTINGS (a JSON file, see openid_provider.py).
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [library, file] = process.argv.slice(2);
const { default: Provider, errors } = await import(pathToFileURL(library));
const settings = JSON.parse(readFileSync(file, 'utf8'));

function findAccount(_, name) {
  const claims = settings.users[name];
  return claims && { accountId: name, claims: () => ({ sub: name, ...claims }) };
}

function getResourceServerInfo(_, resource) {
  const found = settings.resources[resource];
  if (!found) throw new errors.InvalidTarget();
  return {
    scope: '',
    audience: found.audience,
    accessTokenTTL: 300,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: found.algorithm } },
  };
}

const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: settings.jwks,
  findAccount,
  claims: { openid: ['sub', ...settings.claims] },
  conformIdTokenClaims: false, // claims stand in the ID token itself, as STS needs them
  cookies: { keys: ['of the tests'] },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
  extraTokenClaims: (_, token) => settings.users[token.accountId] ?? settings.machines[token.clientId],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo, useGrantedResource: () => true },
  },
});
provider.on('server_error', (_, error) => console.error(error));
provider.listen(settings.port, '127.0.0.1');
