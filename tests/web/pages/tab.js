// One tab with one token source, for tests/support/tab.py: everything that the tests look at is put
// on `window` in plain values.
import * as tokenEntry from "./aurora-token.js";
import * as sdkEntry from "./sdk.js";

// Browsers of 2020 have neither.
delete AbortSignal.timeout;
delete AbortSignal.any;

/** Make the source, over scripted answers or, without a script, over the browser's own fetch. */
export function setUp({ script, options, callerToken }) {
  Object.assign(window, tokenEntry, sdkEntry, { outcome, script, callerToken });
  Object.assign(window, { calls: [], signals: [], waits: [], tokens: [], signOuts: 0 });
  window.source = tokenEntry.createTokenSource({
    endpoint: "/token",
    getCallerToken: () => window.callerToken,
    ...(script && { fetch: scripted }),
    onWaiting: ({ until, error }) => waits.push({ in: until - Date.now(), slug: error.slug }),
    onToken: (token) => tokens.push(token && token.jti),
    onSignedOut: () => { window.signOuts += 1; },
    ...options,
  });
}

/** Give the next answer of the script; one that is `held` waits for the test to `release()` it. */
async function scripted(url, { signal, ...init }) {
  // Whether anybody is there at all.
  if (init.mode === "no-cors") return window.isThere ? new Response() : Promise.reject(new TypeError());
  calls.push({ url, ...init, body: init.body && JSON.parse(init.body) });
  signals.push(signal);
  const { status, body, headers, held } = window.script.shift() ?? { status: 599 };
  if (held) await new Promise((resolve) => { window.release = resolve; });
  if (status === 0) throw new TypeError("Failed to fetch");
  const text = status === 204 ? null : typeof body === "string" ? body : JSON.stringify(body);
  return new Response(text, { status, headers });
}

/** What became of a call. */
const outcome = (promise) => promise.then(
  (token) => ({ ...token, left: token && Math.round((token.expiresAt - Date.now()) / 1000) }),
  ({ name, slug, status, message, retryAfter, problem }) =>
    ({ error: name, slug, status, message, retryAfter, problem }),
);
