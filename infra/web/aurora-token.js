// Aurora access tokens for a page: asks the token vendor, keeps the answer, waits when told to.
// No dependencies, no build step; the types are in aurora-token.d.ts, beside this file.

/** @import * as Api from "./aurora-token.js" */
/** @typedef {{ iss?: unknown, sub?: unknown, oid?: unknown, email?: string }} Who */
/** @typedef {{ token: string, exp: number, who: Who }} Caller */
/** @typedef {{ who: Who, at: number, life: number, born?: number } & Api.VendedToken} Kept */
/** @typedef {{ least?: number, replaced?: string, signal?: AbortSignal }} Wish */
/** @typedef {{ wish: Wish, callers: number, promise: Promise<Api.AccessToken>, end: (why?: Error, token?: Api.AccessToken) => void }} Flight */
/** @typedef {typeof NOBODY} State */

const URN = "urn:problem:aurora-token-vendor:";
/** What only a browser knows, with a title and a sentence for people. @type {typeof Api.PROBLEMS} */
export const PROBLEMS = {
  "signed-out": ["Your sign-in has run out", "Sign in again."],
  "sign-in-silent": ["Your sign-in does not answer", "Load the page again."],
  unreachable: ["The service cannot be reached", "Check the network, then try again."],
  "caller-token-too-large": ["Your sign-in is too large for the service", "Ask for fewer groups in it."],
  "unexpected-answer": ["Something else answered", "Try again."],
  "caller-changed": ["Somebody else has signed in", "Try again."],
  closed: ["This page is closed", "Load the page again."],
};
// The first is for operators to mend; the second says to use the token that one has, or else this.
const NOT_WORTH_WAITING = ["aurora-key-rejected", "too-many-renewals"];
const WITHOUT_A_TOKEN = "Try again later.";
const PASSES = [429, 502, 503, 504];
const TRIES_WITHOUT_RETRY_AFTER = 2;
// A problem of the service's that refuses the person: nobody has a use for a token any more.  After all
// others, the one that failed may be the only one that the person gets for the next hour.
const REFUSES = [403, 409];
// Seconds.  Less than the service's own margin would throw people out of a design that they just opened;
// Aurora decides how long tokens live, and it is never more than a quarter of that.
const COMFORTABLE = 3600;
// Enough to load the Client SDK with, when nothing better can be had.
const USABLE = 60;
// Milliseconds.  API Gateway takes 30 seconds, the lock outlasts an answer, and a person may type a code.
const [ANSWER_WITHIN, LOCK_WITHIN, SIGN_IN_WITHIN] = [35_000, 40_000, 120_000];
// Bytes of a sign-in token that may not fit beside a browser's other headers.
const LARGE = 8000;

export class TokenError extends Error {
  constructor(/** @type {Api.Slug} */ slug, /** @type {Api.AboutError} */ about = {}) {
    const { title, detail } = about.problem ?? {};
    const [own, sentence] = PROBLEMS[slug] ?? [slug];
    super(detail ?? title ?? sentence);
    Object.assign(this, { name: "TokenError", slug, title: title ?? own, status: 0, ...about });
  }
}

// What a source knows, and what can become of it -----------------------------------------------------

const NOBODY = {
  // Who was signed in when somebody last looked, and the person's token; before, that of the storage.
  caller: /** @type {Caller | null} */ (null),
  kept: /** @type {Kept | null} */ (null),
  // How many people and sign-outs there were, and whether the service has ever answered.
  people: 0,
  signOuts: 0,
  isReached: false,
};

/** @param {State} state @returns {Who} */
const owner = ({ caller, kept }) => caller?.who ?? kept?.who ?? {};

/** Another person finds nothing of the last one's. @param {State} state @param {string} token */
function arrived(state, token) {
  if (state.caller?.token === token) return state;
  const [last, caller] = [owner(state), callerOf(token)];
  const { oid = last.oid, email = last.email } = caller.who;
  if (!isSame(last, caller.who)) return { ...state, caller, kept: null, people: state.people + 1 };
  // A renewed sign-in may lack a claim that the one before had.
  return { ...state, caller: { ...caller, who: { ...caller.who, oid, email } } };
}

/** @param {State} state @param {Kept} entry @param {string} [replaced] is the token that failed */
function stored(state, entry, replaced) {
  const [{ kept }, now] = [state, Date.now()];
  // From storage, anything may come.  What is from the browser's future has an age that nobody knows.
  if (!(entry?.jwt && entry.who && entry.at <= now + 1000)) return state;
  // An answer that was overtaken must not bring back a token that has been replaced since.
  // Lives are whole seconds: the one made for a failed token may seem to end before that.
  if (kept && kept.jti !== replaced && ends(entry) < ends(kept)) return state;
  return { ...state, kept: { ...entry, born: performance.now() - (now - entry.at) } };
}

const forgotten = (/** @type {State} */ state) => ({ ...state, kept: null, signOuts: state.signOuts + 1 });

function usable(/** @type {State} */ { caller, kept }, /** @type {Wish} */ { least, replaced }) {
  if (!caller || !kept || kept.jti === replaced) return null;
  return remaining(kept) > (least ?? comfortable(kept)) ? handedOver(kept) : null;
}

/** @type {typeof Api.createTokenSource} */
export function createTokenSource(options) {
  const { getCallerToken, patience = 900, credentials = "omit" } = options;
  const name = `aurora-token ${options.endpoint}`;
  const storage = attempt(() => (options.storage === "session" ? sessionStorage : null));
  /** @type {(BroadcastChannel & { unref?: () => void }) | null} */
  const channel = attempt(() => new BroadcastChannel(name));
  channel?.unref?.(); // In Node, it would keep the process.
  const listeners = new Set([/** @type {Api.TokenCallbacks} */ (options)]);
  const flights = /** @type {Set<Flight>} */ (new Set());
  const closing = new AbortController();
  let state = stored(NOBODY, attempt(() => JSON.parse(storage?.getItem(name) ?? "null")));

  // Only pages of this origin can post here, but another person may be signed in to them.
  channel?.addEventListener("message", async ({ data: { who, entry, replaced } }) => {
    if (!isSame(who, owner(state))) return;
    if (!entry) return leave(flights.size > 0);
    // Or to this one, since anybody looked.
    if ((await signedIn().catch(() => null)) && isSame(who, owner(state))) become(stored(state, entry, replaced));
  });
  // In the back/forward cache, a page does not hear that somebody signed out.
  const comeBack = async (/** @type {any} */ { persisted }) => {
    if (persisted && state.kept && (await signedIn().catch(() => undefined)) === null) leave(true);
  };
  globalThis.addEventListener?.("pageshow", comeBack);

  /** @param {State} next @param {Api.Gone} [why] there is no token any more: the page is told in any case */
  function become(next, why) {
    const [{ kept, people }, entry] = [state, next.kept];
    state = next;
    if (people !== next.people) endFlights(new TokenError("caller-changed"));
    if (kept === entry && !why) return;
    attempt(() => (entry ? storage?.setItem(name, JSON.stringify(entry)) : storage?.removeItem(name)));
    // Whoever waits for such a token waits no more, whichever tab brought it.
    for (const { wish, end } of flights) {
      const token = usable(state, wish);
      if (token) end(undefined, token);
    }
    tellPage("onToken", entry && handedOver(entry), entry ? undefined : why ?? "signed-out");
  }

  function tellPage(/** @type {keyof Api.TokenCallbacks} */ callback, /** @type {...any} */ ...what) {
    for (const listener of [...listeners]) {
      // A page's callback that throws, or rejects, changes nothing of what happens to its token.
      (async () => /** @type {any} */ (listener)[callback]?.(...what))().catch((error) => console.error(error));
    }
  }

  const tellTabs = (/** @type {object} */ message) => attempt(() => channel?.postMessage(message));

  /** @param {boolean} isNews @param {Api.Gone} [why] */
  function leave(isNews, why) {
    endFlights(isNews ? signedOut() : new TokenError("signed-out"));
    become(forgotten(state), why);
  }

  /** @param {Api.AboutError} [about] */
  function signedOut(about) {
    tellPage("onSignedOut");
    return new TokenError("signed-out", about);
  }

  async function signedIn() {
    const why = () => new TokenError(closing.signal.aborted ? "closed" : "sign-in-silent");
    const asked = (async () => getCallerToken())();
    const token = await within(SIGN_IN_WITHIN, closing.signal, (signal) => unlessAborted(asked, signal, why));
    if (token) become(arrived(state, token));
    return token ? state.caller : null;
  }

  async function caller() {
    const from = await signedIn();
    if (!from) throw signedOut();
    return from;
  }

  /** @template T @param {AbortSignal | undefined} signal @param {object} request @param {(answer: Response) => T} read */
  const send = (signal, request, read) =>
    within(ANSWER_WITHIN, signal, async (signal) => {
      const send = options.fetch ?? globalThis.fetch;
      return read(await send(String(options.endpoint), { cache: "no-store", ...request, signal }));
    });

  /** See whether anybody answers at all: API Gateway's refusals bear no CORS header. @param {AbortSignal} signal */
  const isThere = (signal) => send(signal, { mode: "no-cors" }, () => true).catch(() => false);

  /** @param {string} method @param {Caller} from @param {AbortSignal} [signal] @param {object} [wish] */
  async function ask(method, from, signal, wish) {
    const request = {
      method,
      credentials,
      headers: { ...options.headers, authorization: `Bearer ${from.token}`, "content-type": "application/json" },
      body: wish && JSON.stringify(wish),
      redirect: "error", // The bearer token is for this address alone.
      keepalive: method === "DELETE", // A person who signs out leaves the page.
    };
    const { answer, text } = await send(signal, request, async (answer) => ({ answer, text: await answer.text() })).catch(
      (cause) => { throw new TokenError("unreachable", { cause }); },
    );
    const { status, headers } = answer;
    const json = attempt(() => JSON.parse(text));
    if (status === 401) throw signedOut({ status });
    // It broke off on its way, without the browser's noticing.
    if (text[0] === "{" && !json) throw new TokenError("unreachable", { status });
    const ours = String(json?.type).startsWith(URN);
    const isToken = answer.ok && json?.token?.jwt && json.token.expires_in > 0;
    become({ ...state, isReached: ours || isToken || state.isReached });
    if (status === 204 || isToken) return json;
    const slug = ours ? json.type.slice(URN.length) : "unexpected-answer";
    if (slug === "too-many-renewals" && !usable(state, { least: 0 })) json.detail = WITHOUT_A_TOKEN;
    // At least a second, so that a service that says 0 is not hammered.
    const retryAfter = Math.max(1, parseFloat(headers.get("retry-after") ?? "")) || undefined;
    throw new TokenError(slug, { status, problem: ours ? json : undefined, retryAfter });
  }

  /** @param {Caller} from @param {Wish} wish @param {AbortSignal} signal */
  async function vend(from, { least, replaced }, signal) {
    if (signal.aborted) throw abortion(signal);
    // Counted from before the request: the answer may have been long on its way.
    const [at, { who }] = [Date.now(), from];
    const { token, user, source } = await ask("POST", from, signal, { min_ttl: least, replace: replaced });
    const entry = { who, at, life: token.expires_in, jwt: token.jwt, jti: token.jti, user, source };
    // While the answer was on its way, somebody may have signed out, or somebody else in.
    const now = await signedIn().catch(() => from);
    if (signal.aborted) throw abortion(signal);
    if (!now) throw signedOut();
    if (who.sub && !isSame(who, owner(state))) throw new TokenError("caller-changed");
    // An answer for another address than the sign-in's is handed over, but kept for nobody.
    if (who.sub && (!who.email || who.email === address(user?.email))) {
      become(stored(state, entry, replaced));
      tellTabs({ who, entry, replaced });
    }
    return handedOver(entry);
  }

  const lockName = (/** @type {string} */ kind) => `${name} ${kind} ${owner(state).iss} ${owner(state).sub}`;

  /** Ask while no other tab of this person's does, or after all where there is no lock, or not soon enough. @type {typeof vend} */
  function askOnce(from, wish, signal) {
    const asked = performance.now();
    /** @type {any} */
    let result;
    const once = () => (result ??= vend(from, wish, signal));
    const request = (/** @type {AbortSignal} */ signal) =>
      navigator.locks.request(lockName("request"), { signal }, async () => {
        // What the last holder posted may arrive a little later than its lock: then this flight is over.
        if (performance.now() - asked > 10) await pause(50, signal);
        return once();
      });
    return within(LOCK_WITHIN, signal, request).catch(once);
  }

  /** @type {typeof vend} */
  async function persist(from, wish, signal) {
    const until = performance.now() + patience * 1000;
    for (let failures = 0, hidden = 0; ; from = await caller()) {
      try {
        return await askOnce(from, wish, signal);
      } catch (/** @type {any} */ error) {
        const { slug, status, retryAfter } = error;
        if (signal.aborted || !slug) throw error;
        const isLost = slug === "unreachable";
        if (NOT_WORTH_WAITING.includes(slug) || !(isLost || PASSES.includes(status))) throw error;
        const enough = usable(state, { ...wish, least: wish.least ?? USABLE });
        if (enough) return enough;
        const isOld = from.exp * 1000 <= Date.now();
        // Twice, because a network may come back between two requests.
        if (isLost && (isOld || from.token.length >= LARGE) && (await isThere(signal)) && ++hidden < 2) continue;
        if (hidden > 1) throw isOld ? signedOut() : new TokenError("caller-token-too-large");
        // Whoever has never been answered may be at the wrong address; a network comes back.
        const comesBack = retryAfter || (isLost && (state.isReached || navigator.onLine === false));
        if (++failures > TRIES_WITHOUT_RETRY_AFTER && !comesBack) throw error;
        // Not waited for under the lock: every tab shows its own place in the queue.
        const wait = 1000 * (retryAfter ?? Math.min(30, 2 ** failures) * (0.5 + Math.random() / 2));
        if (performance.now() + wait > until) throw error;
        tellPage("onWaiting", { until: new Date(Date.now() + wait), error });
        await pause(wait, signal, isLost);
      }
    }
  }

  async function obtain(/** @type {Wish} */ { least, replaced, signal }) {
    const { signOuts } = state;
    const from = await caller();
    if (signOuts !== state.signOuts) throw signedOut();
    const ready = usable(state, { least, replaced });
    if (ready) return ready;
    // Another token might end the session that somebody works in: that is for the page to say.
    const enough = least === undefined && usable(state, { replaced, least: USABLE });
    if (enough && (await sessionIsOpen())) return enough;
    if (signal?.aborted) throw abortion(signal);
    let flight = [...flights].find(({ wish }) => wish.least === least && wish.replaced === replaced);
    if (!flight) flights.add((flight = depart({ least, replaced }, from)));
    flight.callers += 1;
    return unlessAborted(flight.promise, signal).finally(() => --flight.callers || flight.end());
  }

  function depart(/** @type {Wish} */ wish, /** @type {Caller} */ from) {
    const controller = new AbortController();
    const flight = /** @type {Flight} */ ({ wish, callers: 0 });
    flight.promise = new Promise((resolve, reject) => {
      flight.end = (why, token) => {
        flights.delete(flight);
        if (token) resolve(token);
        reject(why);
        controller.abort();
      };
      persist(from, wish, controller.signal).then(resolve, reject);
    });
    return flight;
  }

  const endFlights = (/** @type {Error} */ why) => flights.forEach(({ end }) => end(why));
  const call = (/** @type {Wish} */ wish) => unlessAborted(obtain(wish), wish.signal);

  /** See whether a Client SDK session of this person's is open in this tab, or in another. */
  async function sessionIsOpen() {
    const { held = [] } = (await attempt(() => navigator.locks.query())?.catch(() => null)) ?? {};
    return held.some((lock) => lock.name === lockName("session"));
  }

  return {
    getToken: ({ minTtl, signal } = {}) => call({ least: minTtl, signal }),
    tokenProvider: async () => (await call({})).jwt,
    // A minute more than is comfortable: a stored token that is about to near its end would not do.
    renew: ({ signal } = {}) => call({ least: state.kept ? Math.ceil(comfortable(state.kept) + 60) : undefined, signal }),
    replaceToken: (jti, { signal } = {}) =>
      call({ replaced: jti, signal }).catch((error) => {
        const isRefused = error.slug === "signed-out" || (error.problem && REFUSES.includes(error.status));
        // Whether a session on it goes on is for the Client SDK to say.
        if (isRefused && state.kept?.jti === jti) become({ ...state, kept: null }, "refused");
        throw error;
      }),
    async forget({ signal } = {}) {
      if (signal?.aborted) throw abortion(signal);
      // Who signed out at the provider first is no longer signed in here.
      const last = state.caller;
      tellTabs({ who: owner(state) });
      leave(false, "signed-out");
      const from = (await signedIn().catch(() => null)) ?? last;
      if (!from) return;
      tellTabs({ who: from.who });
      await unlessAborted(ask("DELETE", from, signal), signal);
    },
    subscribe(callbacks) {
      const listener = { ...callbacks };
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    holdSession() {
      let letGo = () => {};
      const held = new Promise((resolve) => { letGo = () => resolve(null); });
      attempt(() => navigator.locks.request(lockName("session"), { mode: "shared" }, () => held))?.catch(() => {});
      return letGo;
    },
    close() {
      closing.abort();
      endFlights(new TokenError("closed"));
      listeners.clear();
      globalThis.removeEventListener?.("pageshow", comeBack);
      channel?.close();
    },
  };
}

const ends = (/** @type {Kept} */ { at, life }) => at + life * 1000;
const comfortable = (/** @type {Kept} */ { life }) => Math.min(COMFORTABLE, life / 4);

// Since `at`, which is `born` on the monotonic clock.  The other may be put back; this one stops in sleep.
/** @param {number} at @param {number} [born] */
const elapsed = (at, born = Infinity) => Math.max(Date.now() - at, performance.now() - born);
const remaining = (/** @type {Kept} */ { at, life, born }) => life - Math.max(0, elapsed(at, born)) / 1000;

/** @param {Kept} entry @returns {Api.AccessToken} */
function handedOver(entry) {
  const [left, { jwt, jti, user, source }] = [remaining(entry), entry];
  const when = (/** @type {number} */ seconds) => new Date(Date.now() + seconds * 1000);
  const [expiresAt, renewAt] = [when(left), when(left - comfortable(entry))];
  return { jwt, jti, user, source, expiresIn: Math.floor(left), expiresAt, renewAt };
}

/** @param {string} token @returns {Caller} by its unverified claims */
function callerOf(token) {
  try {
    const text = atob((token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/"));
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    const { iss, sub, oid, exp, email = claims.emails?.[0] } = claims;
    return { token, exp, who: { iss, sub, oid, email: address(email) } };
  } catch (cause) {
    throw new TypeError("getCallerToken must give a JWT", { cause });
  }
}

/** As the service compares them. @param {unknown} text */
const address = (text) => (typeof text === "string" ? text.trim().normalize("NFC").toLowerCase() : undefined);

/** What only one of them says is no difference; who has no subject is nobody's same. @param {Who} one @param {Who} other */
function isSame(one, other) {
  const differs = (/** @type {"oid" | "email"} */ claim) => one[claim] && other[claim] && one[claim] !== other[claim];
  return Boolean(one.sub) && one.sub === other.sub && one.iss === other.iss && !differs("oid") && !differs("email");
}

/**
 * Give `work` a signal that is aborted with another one, after so many milliseconds, and at its end.
 * @template T @param {number} milliseconds @param {AbortSignal | undefined} outer @param {(signal: AbortSignal) => Promise<T>} work
 */
async function within(milliseconds, outer, work) {
  // AbortSignal.any and AbortSignal.timeout are younger than the browsers that this runs in.
  const controller = new AbortController();
  const abort = () => controller.abort();
  const [timer, stay] = [setTimeout(abort, milliseconds), onAbort(outer, abort)];
  return work(controller.signal).finally(() => {
    clearTimeout(timer);
    stay();
    abort();
  });
}

/**
 * Wait, a second at a time: timers stop while the machine sleeps or the tab is frozen.
 * @param {number} milliseconds @param {AbortSignal} signal @param {boolean} [isForNetwork] it ends when the network is back
 */
async function pause(milliseconds, signal, isForNetwork) {
  const [at, born] = [Date.now(), performance.now()];
  for (let left = milliseconds, isOnline = navigator.onLine; left > 0; left = milliseconds - elapsed(at, born)) {
    await unlessAborted(new Promise((resolve) => setTimeout(resolve, Math.min(Math.ceil(left), 1000))), signal);
    if (isForNetwork && navigator.onLine && !isOnline) return;
    isOnline = navigator.onLine;
  }
}

// Adding a listener to a signal that has ten thousand takes long: each signal gets one of ours.
const leaving = /** @type {WeakMap<AbortSignal, Set<() => void>>} */ (new WeakMap());

function onAbort(/** @type {AbortSignal | undefined} */ signal, /** @type {() => void} */ leave) {
  if (!signal) return () => {};
  if (signal.aborted) leave();
  const all = leaving.get(signal) ?? new Set();
  if (!leaving.has(signal)) signal.addEventListener("abort", () => [...all].forEach((each) => each()));
  leaving.set(signal, all.add(leave));
  return () => void all.delete(leave);
}

/** @template T @param {Promise<T>} promise @param {AbortSignal | undefined} signal @param {() => unknown} [why] @returns {Promise<T>} */
function unlessAborted(promise, signal, why = () => signal && abortion(signal)) {
  return new Promise((resolve, reject) => {
    const stay = onAbort(signal, () => reject(why()));
    promise.then(resolve, reject).finally(stay);
  });
}

/** Before 2022, browsers kept no reason. @param {AbortSignal} signal */
const abortion = (signal) => signal.reason ?? new DOMException("", "AbortError");

/** Do without storage or channel where the browser denies them. @template T @param {() => T} action */
function attempt(action) {
  try { return action(); } catch { return null; }
}
