// Token sources without this service: for tests, stories, and a backend of one's own.

/** @import * as Api from "./sources.js" */

const LIFE = 12 * 3600;

/** @type {typeof Api.literalTokenSource} */
export const literalTokenSource = (jwt) => customTokenSource(() => jwt);

/** @type {typeof Api.customTokenSource} */
export function customTokenSource(vend) {
  const listeners = new Set();
  /** @param {Parameters<typeof vend>[0]} wish */
  async function getToken(wish = {}) {
    const token = accessToken(await vend(wish));
    if (wish.signal?.aborted) throw wish.signal.reason;
    for (const listener of listeners) listener.onToken?.(token);
    return token;
  }
  return {
    getToken,
    renew: getToken,
    replaceToken: (replaced, options) => getToken({ ...options, replaced }),
    tokenProvider: async () => (await getToken()).jwt,
    async forget() {
      for (const listener of listeners) listener.onToken?.(null, "signed-out");
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    holdSession: () => () => {},
    close: () => listeners.clear(),
  };
}

/** @param {string} jwt @returns {import("./aurora-token.js").AccessToken} by its unverified claims, where it has any */
function accessToken(jwt) {
  let claims;
  try {
    claims = JSON.parse(atob((jwt.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/")));
  } catch {
    claims = {};
  }
  const { id = "", email = "", jti = jwt, exp = Date.now() / 1000 + LIFE } = claims;
  const left = exp - Date.now() / 1000;
  const before = (/** @type {number} */ seconds) => new Date((exp - seconds) * 1000);
  return {
    jwt, jti, user: { id, email }, source: "stored", expiresIn: Math.floor(left),
    expiresAt: before(0), renewAt: before(Math.min(3600, left / 4)),
  };
}
