// Aurora access tokens for a page: asks the token vendor, keeps the answer, waits when told to.
// No dependencies, no build step; the types are in aurora-token.d.ts, beside this file.

/** @import * as Api from "./aurora-token.js" */
/** @typedef {Pick<Api.AccessToken, "jwt" | "jti" | "user" | "source">} Vended */
/** @typedef {{ who: string, at: number, life: number, born?: number, token: Vended }} Kept */
/** @typedef {{ status?: number, problem?: Api.Problem, retryAfter?: number, cause?: unknown }} About */
/** @typedef {{ token: string, who: string, expired: boolean }} Caller */

// Aurora publishes neither a loader for production nor the name of the option that takes the JWT:
// the address is that of their "Access Token" page, the name is a guess.  Correct them here.
export const LOADER_URL = "https://aurora-sdk.s3.amazonaws.com/client-sdk-loader.next.js";
export const TOKEN_OPTION = "token";

const URN = "urn:problem:aurora-token-vendor:";
// The first is for operators to mend; after the second, the caller has a token to go on with.
const NOT_WORTH_WAITING = ["aurora-key-rejected", "too-many-renewals"];
const TRIES_WITHOUT_RETRY_AFTER = 2;
// Less than the service's own margin would throw people out of a design that they just opened.
const COMFORTABLE = 3600;
// Enough to load the Client SDK with, when nothing better can be had.
const USABLE = 60;
// Longer than API Gateway's 30 seconds, so that its answer is always heard.
const ANSWER_WITHIN = 35_000;
// The lock only saves requests (the service itself lets one generate through): nobody hangs on it.
const LOCK_WITHIN = 10_000;

export class TokenError extends Error {
  /**
   * @param {Api.Slug} slug
   * @param {About} [about]
   */
  constructor(slug, { status = 0, problem, retryAfter, cause } = {}) {
    super(problem?.detail ?? problem?.title ?? slug, { cause });
    this.name = "TokenError";
    this.slug = slug;
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/** @type {typeof Api.createTokenSource} */
export function createTokenSource(options) {
  const { endpoint, getCallerToken, patience = 900, onWaiting, onToken, onSignedOut } = options;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const name = `aurora-token ${new URL(endpoint, location.href)}`;
  const storage = attempt(() => (options.storage === "session" ? sessionStorage : null));
  const channel = attempt(() => new BroadcastChannel(name));
  /** @type {Map<string, Promise<Api.AccessToken>>} */
  const flights = new Map();
  /** @type {Kept | null} */
  let kept = null;
  /** @type {string | undefined} */
  let present;
  let forgotten = 0;
  // How far the service's clock is ahead of the browser's, in milliseconds, as far as is known.
  let ahead = 0;

  keep(attempt(() => JSON.parse(storage?.getItem(name) ?? "null")), { quietly: true });
  // Only pages of this origin can post here, but another person may be signed in to them.
  channel?.addEventListener("message", ({ data }) => {
    if (data.who !== (present ?? kept?.who)) return;
    if (!data.entry) forgotten += 1;
    if (data.entry || kept) keep(data.entry);
  });

  /** @param {Kept | null | undefined} entry */
  function keep(entry, { quietly = false } = {}) {
    const now = Date.now();
    // From storage, anything may come.  What is from the browser's future has an age that nobody
    // knows: its clock was put back meanwhile.
    if (entry && !(entry.token?.jwt && entry.at <= now + 1000)) return;
    // An answer that was overtaken must not bring back a token that has been replaced since.
    if (entry && kept?.who === entry.who && ends(entry) < ends(kept)) return;
    kept = entry ? { ...entry, born: performance.now() - (now - entry.at) } : null;
    const text = entry && JSON.stringify(entry);
    attempt(() => (text ? storage?.setItem(name, text) : storage?.removeItem(name)));
    if (!quietly) onToken?.(kept && handedOver(kept));
  }

  /** @param {string} who @param {number} least @param {string} [replaced] */
  function cached(who, least, replaced) {
    const fits = kept?.who === who && kept.token.jti !== replaced && remaining(kept) > least;
    return kept && fits ? handedOver(kept) : null;
  }

  /** @returns {Promise<Caller | null>} */
  async function signedIn() {
    const token = await getCallerToken();
    if (!token) return null;
    const { iss, sub, exp } = unverifiedClaims(token);
    const who = (present = `${iss} ${sub}`);
    return { token, who, expired: exp * 1000 <= Date.now() + ahead };
  }

  async function caller() {
    const from = await signedIn();
    if (!from) throw signedOut();
    return from;
  }

  /** @param {About} [about] */
  function signedOut(about) {
    onSignedOut?.();
    return new TokenError("signed-out", about);
  }

  /** @param {string} method @param {Caller} from @param {object} [body] @returns {Promise<any>} */
  async function ask(method, from, body) {
    const headers = { authorization: `Bearer ${from.token}`, "content-type": "application/json" };
    /** @type {Response} */
    let answer;
    try {
      answer = await fetch(endpoint, {
        method,
        headers,
        body: body && JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        redirect: "error", // The bearer token is for this address alone.
        keepalive: method === "DELETE", // Whoever signs out leaves the page.
        signal: AbortSignal.timeout(ANSWER_WITHIN),
      });
    } catch (cause) {
      // API Gateway's 401 bears no CORS header, so a browser shows it as a network failure.
      throw from.expired ? signedOut({ cause }) : new TokenError("unreachable", { cause });
    }
    const { status } = answer;
    if (status === 401) throw signedOut({ status });
    if (status === 204) return null;
    const json = await answer.json().catch(() => null);
    if (answer.ok && json?.token?.jwt && json.token.expires_in > 0) return json;
    const ours = typeof json?.type === "string" && json.type.startsWith(URN);
    const slug = ours ? json.type.slice(URN.length) : "unexpected-answer";
    const problem = ours ? json : undefined;
    throw new TokenError(slug, { status, problem, retryAfter: retryAfter(answer.headers) });
  }

  /** @param {Caller} from @param {object} body */
  async function vend(from, body) {
    const era = forgotten;
    // Counted from before the request: the answer may have been long on its way.
    const at = Date.now();
    const { token, user, source } = await ask("POST", from, body);
    const { jwt, jti, expires_at, expires_in } = token;
    ahead = Date.parse(expires_at) - expires_in * 1000 - Date.now() || 0;
    const entry = { who: from.who, at, life: expires_in, token: { jwt, jti, user, source } };
    if (era === forgotten) {
      keep(entry);
      channel?.postMessage({ who: from.who, entry });
    }
    return handedOver(entry);
  }

  /** @param {Caller} from @param {object} body @param {number} least @param {string} [replaced] */
  async function persist(from, body, least, replaced) {
    const { who } = from;
    const until = performance.now() + patience * 1000;
    for (let blind = 0; ; from = await caller()) {
      if (from.who !== who) throw new TokenError("caller-changed");
      const now = from;
      try {
        return await exclusively(
          `${name} ${who}`,
          async () => cached(who, least, replaced) ?? vend(now, body),
        );
      } catch (error) {
        if (!(error instanceof TokenError) || !passes(error)) throw error;
        const usable = cached(who, "min_ttl" in body ? least : USABLE, replaced);
        if (usable) return usable;
        if (error.retryAfter === undefined && ++blind > TRIES_WITHOUT_RETRY_AFTER) throw error;
        // Not waited for under the lock: every tab shows its own place in the queue.
        const wait = 1000 * (error.retryAfter ?? 2 ** blind * (0.5 + Math.random() / 2));
        if (performance.now() + wait > until) throw error;
        onWaiting?.({ until: new Date(Date.now() + wait), problem: error });
        await pause(wait);
      }
    }
  }

  /** @param {object} body @param {number} least @param {string} [replaced] */
  async function obtain(body, least, replaced) {
    const from = await caller();
    const ready = cached(from.who, least, replaced);
    if (ready) return ready;
    const key = `${from.who} ${JSON.stringify(body)}`;
    let flight = flights.get(key);
    if (!flight) {
      flight = persist(from, body, least, replaced).finally(() => flights.delete(key));
      flights.set(key, flight);
    }
    return flight;
  }

  return {
    getToken: ({ minTtl } = {}) =>
      minTtl === undefined ? obtain({}, COMFORTABLE) : obtain({ min_ttl: minTtl }, minTtl),
    replaceToken(jti) {
      if (kept?.token.jti === jti) keep(null, { quietly: true });
      return obtain({ replace: jti }, COMFORTABLE, jti);
    },
    async forget() {
      forgotten += 1;
      keep(null);
      const from = await signedIn();
      if (!from) return;
      channel?.postMessage({ who: from.who, entry: null });
      await ask("DELETE", from);
    },
  };
}

/**
 * For testing, in a sandbox only, Aurora's page loads the SDK with an account's own credentials:
 *
 *     const library = await import(LOADER_URL);
 *     const sdk = await library.load({ username: "…", password: "…" });
 *
 * @type {typeof Api.loadClientSDK}
 */
export async function loadClientSDK(options) {
  const { tokenSource, loaderUrl = LOADER_URL, tokenOption = TOKEN_OPTION } = options;
  const [library, token] = await Promise.all([import(loaderUrl), tokenSource.getToken()]);
  return { sdk: await library.load({ [tokenOption]: token.jwt }), token };
}

/** @param {Kept} entry */
const ends = ({ at, life }) => at + life * 1000;

/**
 * Seconds left, judged by what has passed since the answer: neither clock's reading matters.  The
 * monotonic clock is asked too, because the other may be put back; it alone would stop in sleep.
 * @param {Kept} entry
 */
function remaining({ at, life, born }) {
  return life - Math.max(Date.now() - at, born === undefined ? 0 : performance.now() - born) / 1000;
}

/** @param {Kept} entry @returns {Api.AccessToken} */
function handedOver(entry) {
  const left = remaining(entry);
  const expiresAt = new Date(Date.now() + left * 1000);
  return { ...entry.token, expiresIn: Math.floor(left), expiresAt };
}

/** @param {TokenError} error */
function passes({ slug, status }) {
  if (NOT_WORTH_WAITING.includes(slug)) return false;
  return slug === "unreachable" || [429, 502, 503, 504].includes(status);
}

/** @param {Headers} headers */
function retryAfter(headers) {
  const text = headers.get("retry-after");
  if (!text) return undefined;
  const sent = Date.parse(headers.get("date") ?? "") || Date.now();
  const seconds = Number.isNaN(Number(text)) ? (Date.parse(text) - sent) / 1000 : Number(text);
  // At least a second, so that a service that says 0 is not hammered.
  return Number.isNaN(seconds) ? undefined : Math.max(1, seconds);
}

/** @param {string} token */
function unverifiedClaims(token) {
  try {
    return JSON.parse(atob((token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/")));
  } catch (cause) {
    throw new TypeError("getCallerToken must give a JWT: the gateway takes nothing else", { cause });
  }
}

/**
 * Run `work` while no other tab does, or after all where the lock is lost, late, or not to be had.
 * @template T
 * @param {string} name @param {() => Promise<T>} work
 */
async function exclusively(name, work) {
  const asked = performance.now();
  /** @type {Promise<T> | undefined} */
  let result;
  const once = () => (result ??= work());
  const signal = AbortSignal.timeout(LOCK_WITHIN);
  try {
    return await navigator.locks.request(name, { signal }, async () => {
      // What the last holder posted may arrive a little later than its lock.
      if (performance.now() - asked > 50) await pause(50);
      return once();
    });
  } catch {
    return once();
  }
}

/** @param {number} milliseconds */
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Do without storage or channel where the browser denies them.
 * @template T
 * @param {() => T} action
 */
function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}
