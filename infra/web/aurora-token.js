// Aurora access tokens for a page: asks the token vendor, keeps the answer, waits when told to.
// No dependencies, no build step; the types are in aurora-token.d.ts, beside this file.

/** @import * as Api from "./aurora-token.js" */
/** @typedef {Pick<Api.AccessToken, "jwt" | "jti" | "user" | "source">} Vended */
/** @typedef {{ who: string, at: number, life: number, born?: number, token: Vended }} Kept */
/** @typedef {{ status?: number, problem?: Api.Problem, retryAfter?: number, cause?: unknown }} About */
/** @typedef {{ token: string, who: string, email: string, expired: boolean }} Caller */

// Aurora publishes neither a loader for production nor the name of the option that takes the JWT:
// the address is that of their "Access Token" page, the name is a guess.  Correct them here.
export const LOADER_URL = "https://aurora-sdk.s3.amazonaws.com/client-sdk-loader.next.js";
export const TOKEN_OPTION = "token";

const URN = "urn:problem:aurora-token-vendor:";
// The first is for operators to mend; after the second, the caller has a token to go on with.
const NOT_WORTH_WAITING = ["aurora-key-rejected", "too-many-renewals"];
const TRIES_WITHOUT_RETRY_AFTER = 2;
// Less than the service's own margin would throw people out of a design that they just opened.
// Aurora decides how long tokens live: it is never more than a quarter of that.
const COMFORTABLE = 3600;
// Enough to load the Client SDK with, when nothing better can be had.
const USABLE = 60;
// Longer than API Gateway's 30 seconds, so that its answer is always heard.
const ANSWER_WITHIN = 35_000;
// Browsers end a longer timer at once.
const LONGEST_TIMER = 2 ** 31 - 1;
// Whoever signs in differs in one of these, also where a provider gives everybody one `sub`.
const IDENTITY = ["iss", "sub", "oid", "email", "emails", "upn", "preferred_username"];
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
  const { endpoint, getCallerToken, patience = 900 } = options;
  const onWaiting = isolated(options.onWaiting);
  const onToken = isolated(options.onToken);
  const onSignedOut = isolated(options.onSignedOut);
  // A server that renders the page has neither an address nor storage.
  const name = `aurora-token ${attempt(() => new URL(endpoint, location.href)) ?? endpoint}`;
  const storage = attempt(() => (options.storage === "session" ? sessionStorage : null));
  const channel = attempt(() => new BroadcastChannel(name));
  /** @type {Map<string, Promise<Api.AccessToken>>} */
  const flights = new Map();
  /** @type {Kept | null} */
  let kept = null;
  /** @type {Caller | undefined} */
  let present;
  let forgotten = 0;
  /** @type {Set<AbortController>} */
  const requests = new Set();
  // How far the service's clock is ahead of the browser's, in milliseconds, as far as is known.
  let ahead = 0;

  keep(attempt(() => JSON.parse(storage?.getItem(name) ?? "null")), { quietly: true });
  // Only pages of this origin can post here, but another person may be signed in to them.
  channel?.addEventListener("message", ({ data }) => {
    if (!data.who || data.who !== (present?.who ?? kept?.who)) return;
    if (!data.entry) forgotten += 1;
    // Lives are whole seconds: a token made within a second of the failed one may seem to end first.
    if (data.replaced && kept?.token.jti === data.replaced) keep(null, { quietly: true });
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
    if (!quietly) onToken(kept && handedOver(kept));
  }

  /** @param {string} who @param {number | undefined} least @param {string} [replaced] */
  function cached(who, least, replaced) {
    if (!kept || !who || kept.who !== who || kept.token.jti === replaced) return null;
    const enough = least ?? Math.min(COMFORTABLE, kept.life / 4);
    return remaining(kept) > enough ? handedOver(kept) : null;
  }

  /** @returns {Promise<Caller | null>} */
  async function signedIn() {
    const token = await getCallerToken();
    if (!token) return null;
    const claims = unverifiedClaims(token);
    const named = IDENTITY.slice(1).some((claim) => claims[claim]);
    // Without an identity nothing is kept, for nobody could tell whose it is.
    const who = named ? await digest(JSON.stringify(IDENTITY.map((each) => claims[each]))) : "";
    const email = typeof claims.email === "string" ? claims.email : "";
    present = { token, who, email, expired: claims.exp * 1000 <= Date.now() + ahead };
    return present;
  }

  async function caller() {
    const from = await signedIn();
    if (!from) throw signedOut();
    return from;
  }

  /** @param {About} [about] */
  function signedOut(about) {
    onSignedOut();
    return new TokenError("signed-out", about);
  }

  /** @param {string} method @param {Caller} from @param {object} [body] @returns {Promise<any>} */
  async function ask(method, from, body) {
    const headers = { authorization: `Bearer ${from.token}`, "content-type": "application/json" };
    const leaving = method === "DELETE";
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), ANSWER_WITHIN);
    if (!leaving) requests.add(controller);
    /** @type {Response} */
    let answer;
    /** @type {any} */
    let json;
    try {
      answer = await (options.fetch ?? globalThis.fetch)(endpoint, {
        method,
        headers,
        body: body && JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        redirect: "error", // The bearer token is for this address alone.
        keepalive: leaving, // Whoever signs out leaves the page.
        signal: controller.signal,
      });
      json = await answer.json().catch(() => null);
    } catch (cause) {
      // API Gateway's 401 bears no CORS header, so a browser shows it as a network failure.
      throw from.expired ? signedOut({ cause }) : new TokenError("unreachable", { cause });
    } finally {
      clearTimeout(timer);
      requests.delete(controller);
    }
    const { status } = answer;
    if (status === 401) throw signedOut({ status });
    if (status === 204) return null;
    if (answer.ok && json?.token?.jwt && json.token.expires_in > 0) return json;
    const ours = typeof json?.type === "string" && json.type.startsWith(URN);
    const slug = ours ? json.type.slice(URN.length) : "unexpected-answer";
    const problem = ours ? json : undefined;
    throw new TokenError(slug, { status, problem, retryAfter: retryAfter(answer.headers) });
  }

  /** @param {Caller} from @param {{ replace?: string }} body */
  async function vend(from, body) {
    const era = forgotten;
    // Counted from before the request: the answer may have been long on its way.
    const at = Date.now();
    const { token, user, source } = await ask("POST", from, body);
    const { jwt, jti, expires_at, expires_in } = token;
    ahead = Date.parse(expires_at) - expires_in * 1000 - Date.now() || 0;
    const entry = { who: from.who, at, life: expires_in, token: { jwt, jti, user, source } };
    // While the answer was on its way, somebody may have signed out, or somebody else in.
    const now = await signedIn();
    if (!now || era !== forgotten) throw signedOut();
    if (now.who !== from.who) throw new TokenError("caller-changed");
    // An answer for another address than the sign-in's is handed over, but kept for nobody.
    if (from.who && (!from.email || sameAddress(from.email, user?.email))) {
      keep(entry);
      tell({ who: from.who, entry, replaced: body.replace });
    }
    return handedOver(entry);
  }

  /** @param {{ who: string, entry: Kept | null, replaced?: string }} message */
  function tell(message) {
    if (message.who) attempt(() => channel?.postMessage(message));
  }

  /**
   * @param {Caller} from @param {object} body
   * @param {number | undefined} least @param {string} [replaced]
   */
  async function persist(from, body, least, replaced) {
    const { who } = from;
    const era = forgotten;
    const until = performance.now() + patience * 1000;
    for (let blind = 0; ; from = await caller()) {
      if (era !== forgotten) throw signedOut();
      if (from.who !== who) throw new TokenError("caller-changed");
      const now = from;
      try {
        return await exclusively(
          `${name} ${who}`,
          async () => cached(who, least, replaced) ?? vend(now, body),
        );
      } catch (error) {
        if (era !== forgotten) throw signedOut({ cause: error });
        if (!(error instanceof TokenError) || !passes(error)) throw error;
        const usable = cached(who, "min_ttl" in body ? least : USABLE, replaced);
        if (usable) return usable;
        if (error.retryAfter === undefined && ++blind > TRIES_WITHOUT_RETRY_AFTER) throw error;
        // Not waited for under the lock: every tab shows its own place in the queue.
        const wait = 1000 * (error.retryAfter ?? 2 ** blind * (0.5 + Math.random() / 2));
        if (performance.now() + wait > until) throw error;
        onWaiting({ until: new Date(Date.now() + wait), problem: error });
        await pause(wait);
      }
    }
  }

  /** @param {object} body @param {number | undefined} least @param {string} [replaced] */
  async function obtain(body, least, replaced) {
    const from = await caller();
    const ready = cached(from.who, least, replaced);
    if (ready) return ready;
    // Who cannot be told apart does not share a request either.
    const key = `${from.who || from.token} ${JSON.stringify(body)}`;
    let flight = flights.get(key);
    if (!flight) {
      flight = persist(from, body, least, replaced).finally(() => flights.delete(key));
      flights.set(key, flight);
    }
    return flight;
  }

  return {
    getToken: ({ minTtl } = {}) =>
      minTtl === undefined ? obtain({}, undefined) : obtain({ min_ttl: minTtl }, minTtl),
    replaceToken(jti) {
      if (kept?.token.jti === jti) keep(null, { quietly: true });
      return obtain({ replace: jti }, undefined, jti);
    },
    async forget() {
      forgotten += 1;
      // Who signed out at the provider first is no longer signed in here.
      const last = present;
      tell({ who: last?.who ?? kept?.who ?? "", entry: null });
      for (const request of requests) request.abort();
      keep(null);
      const from = (await signedIn().catch(() => null)) ?? last;
      if (!from) return;
      if (from.who !== last?.who) tell({ who: from.who, entry: null });
      await ask("DELETE", from);
    },
    close() {
      channel?.close();
      for (const request of requests) request.abort();
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
  const [library, token] = await Promise.all([
    // Bundlers would look for the address among their own modules.
    import(/* webpackIgnore: true */ /* @vite-ignore */ loaderUrl),
    tokenSource.getToken(),
  ]);
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
    const text = atob((token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0))));
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
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), LOCK_WITHIN);
  try {
    return await navigator.locks.request(name, { signal: controller.signal }, async () => {
      // What the last holder posted may arrive a little later than its lock.
      if (performance.now() - asked > 50) await pause(50);
      return once();
    });
  } catch {
    return once();
  } finally {
    clearTimeout(timer);
  }
}

/** @param {number} milliseconds */
async function pause(milliseconds) {
  const until = performance.now() + milliseconds;
  for (let left = milliseconds; left > 0; left = until - performance.now()) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, LONGEST_TIMER)));
  }
}

/** @param {string} text */
async function digest(text) {
  const subtle = globalThis.crypto?.subtle; // Only where the page came over https or loopback.
  if (!subtle) return text;
  const bytes = new Uint8Array(await subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} one @param {string | undefined} other */
function sameAddress(one, other) {
  const form = (/** @type {string} */ text) => text.trim().normalize("NFC").toLowerCase();
  return other !== undefined && form(one) === form(other);
}

/**
 * A page's callback that throws changes nothing of what happens to its token.
 * @template {unknown[]} A
 * @param {((...args: A) => unknown) | undefined} callback
 * @returns {(...args: A) => void}
 */
function isolated(callback) {
  return (...args) => {
    try {
      callback?.(...args);
    } catch (error) {
      console.error(error);
    }
  };
}

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
