// oidc-provider on loopback, over TLS, with a few people and two clients.
// Told what to be by one JSON document on standard input; says {"ready": port} on standard output.
//
// POST /control/rotate makes new signing keys, as a provider does now and then.
// GET /interaction/… ?account=NAME signs NAME in, else whom it was told: the test plays the browser.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:https";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.LEADGLASS_MODULES + "/x.js");
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);

const told = JSON.parse(readFileSync(0, "utf8"));
const server = createServer({ cert: readFileSync(told.cert), key: readFileSync(told.key) });
await new Promise((done) => server.listen(told.port ?? 0, "127.0.0.1", done));
const issuer = `https://${told.host}:${server.address().port}`;

function keys(algorithm) {
  const { privateKey } = algorithm.startsWith("ES")
    ? generateKeyPairSync("ec", { namedCurve: "P-256" })
    : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const kid = randomBytes(8).toString("hex");
  return { keys: [{ ...privateKey.export({ format: "jwk" }), kid, use: "sig", alg: algorithm }] };
}

function client(id) {
  return {
    client_id: id,
    client_secret: told.secret,
    redirect_uris: told.redirects,
    response_types: ["code"],
    grant_types: ["authorization_code"],
    id_token_signed_response_alg: told.algorithm,
    token_endpoint_auth_method: "client_secret_basic",
  };
}

function program(id) {
  return {
    client_id: id,
    client_secret: told.secret,
    redirect_uris: [],
    response_types: [],
    grant_types: ["client_credentials"],
    scope: SCOPES,
    token_endpoint_auth_method: "client_secret_basic",
  };
}

const SCOPES = "system/ImagingStudy.read patient/ImagingStudy.read system/Patient.read";

// What a program asks for is for the archive, unless it asks for another audience.
const resources = {
  enabled: true,
  defaultResource: (context) => (context.oidc.client?.clientId === "smart" ? told.audience : undefined),
  useGrantedResource: () => false,
  getResourceServerInfo: (_context, audience) => ({ scope: SCOPES, audience, accessTokenFormat: "opaque", accessTokenTTL: 600 }),
};

function make() {
  const provider = new Provider(issuer, {
    clients: [client("leadglass"), client("another"), program("smart"), program("archive")],
    jwks: keys(told.algorithm),
    cookies: { keys: [randomBytes(16).toString("hex")] },
    claims: { openid: ["sub"], profile: ["preferred_username", "name"], groups: ["groups"] },
    conformIdTokenClaims: told.userinfo === true,
    features: { devInteractions: { enabled: false }, introspection: { enabled: true, allowedPolicy: () => true }, revocation: { enabled: true },
      clientCredentials: { enabled: true }, resourceIndicators: resources, rpInitiatedLogout: { enabled: true } },
    scopes: ["openid", "profile", "groups", ...SCOPES.split(" ")],
    enabledJWA: { idTokenSigningAlgValues: [told.algorithm] },
    pkce: { required: () => true },
    ttl: { IdToken: 600, AccessToken: 600, Session: 600, Interaction: 600, Grant: 600 },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_context, id) => {
      const person = told.people[id];
      return person && { accountId: id, claims: () => ({ sub: id, ...person }) };
    },
    loadExistingGrant: async (context) => {
      const { oidc } = context;
      const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope("openid profile groups");
      await grant.save();
      return grant;
    },
  });
  provider.on("server_error", (_context, error) => console.error(error));
  return provider;
}

let provider = make();
server.on("request", async (request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname === "/control/rotate") {
    provider = make();
    response.end("{}");
  } else if (url.pathname.startsWith("/interaction/")) {
    try {
      await provider.interactionFinished(request, response, { login: { accountId: url.searchParams.get("account") ?? told.first } });
    } catch (error) {
      response.statusCode = 400;
      response.end(String(error));
    }
  } else {
    provider.callback()(request, response);
  }
});
console.log(JSON.stringify({ ready: server.address().port, issuer }));
