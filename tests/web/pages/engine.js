// The helper over the engine's own fetch, locks, channels, storage and crypto; what became of it is
// posted to the test.  No clock is turned here: nothing waits for longer than an answer.
import { createTokenSource } from "/aurora-token.js";
import { loadClientSDK, watchSession } from "/sdk.js";

const claims = { iss: "https://idp.example.com", sub: "jessica", exp: 4_000_000_000 };
const callerToken = `e30.${btoa(JSON.stringify(claims))}.c2ln`;
const heard = [];
const overs = [];

/** One tab's worth of it. */
const source = (options) =>
  createTokenSource({ endpoint: "/token", getCallerToken: () => callerToken, ...options });
const failure = (promise) => promise.then(() => "none", ({ slug, name }) => slug ?? name);
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
};

async function report() {
  const one = source({ storage: "session" });
  const two = source({ onToken: (token) => heard.push(token?.jti ?? null) });
  // The second waits for the first one's lock, and hears of its token meanwhile.
  const three = await Promise.all([one.getToken(), one.getToken(), two.getToken()]);
  const aborted = await failure(two.getToken({ signal: AbortSignal.abort() }));
  const reloaded = await source({ storage: "session" }).getToken();
  await one.replaceToken("first");
  await until(() => heard.length > 1);
  const handlers = {};
  const sdk = { event: { on: (name, handler) => { handlers[name] = handler; } } };
  const loaded = await loadClientSDK({ tokenSource: two, loaderUrl: "/loader.js" });
  watchSession({ tokenSource: two, sdk, token: loaded.token, onOver: ({ reason }) => overs.push(reason) });
  const { held } = await navigator.locks.query();
  handlers["session.ended"]();
  // This endpoint knows no DELETE; the tabs forget all the same.
  await one.forget().catch(() => {});
  await until(() => heard.includes(null));
  two.close();
  return {
    tokens: [...three, reloaded].map(({ jti }) => jti),
    aborted,
    heard,
    loadedWith: loaded.sdk.loadedWith,
    sessionLock: held.some(({ name }) => name.includes(" session ")),
    overs,
    stored: sessionStorage.length,
    closed: await failure(two.getToken()),
  };
}

const body = await report().catch((error) => ({ error: String(error), stack: error.stack, heard }));
await fetch("/report", { method: "POST", body: JSON.stringify(body) });
