// Aurora access tokens for a page: asks the token vendor, keeps the answer, waits when told to.
// No dependencies, no build step; the types are in aurora-token.d.ts, beside this file.

/** @import * as Api from "./aurora-token.js" */
/** @typedef {Pick<Api.AccessToken, "jwt" | "jti" | "user" | "source">} Vended */
/** @typedef {{ who: string, at: number, life: number, born?: number, token: Vended }} Kept */
/** @typedef {{ status?: number, problem?: Api.Problem, retryAfter?: number, detail?: string, cause?: unknown }} About */
/** @typedef {{ token: string, who: string, email: string, expired: boolean }} Caller */
/** @typedef {{ promise: Promise<Api.AccessToken>, end: (why?: Error) => void, callers: number }} Flight */
/** @typedef {{ least?: number, replaced?: string, signal?: AbortSignal, patience?: number }} Wish */
/** @typedef {{ entry: Kept, stop: () => void, end: (over: Api.SessionOver) => void }} Session */
/** @typedef {keyof Api.TokenCallbacks} Callback */

// Aurora publishes neither a loader for production nor the name of the option that takes the JWT:
// the address is that of their "Access Token" page, the name is a guess.  Correct them here.
export const LOADER_URL = "https://aurora-sdk.s3.amazonaws.com/client-sdk-loader.next.js";
export const TOKEN_OPTION = "token";
// Public pages call `sdk.event.on(…)`; none names an event that ends a session.  These are guesses.
export const SESSION_END_EVENTS = ["session.ended", "session.expired", "session.conflict"];

const URN = "urn:problem:aurora-token-vendor:";
// The first is for operators to mend; after the second, the caller has a token to go on with.
const NOT_WORTH_WAITING = ["aurora-key-rejected", "too-many-renewals"];
const TRIES_WITHOUT_RETRY_AFTER = 2;
// The answers to `replaceToken` after which nobody has a use for the token that failed.  After all
// others it may be the only one that the person gets for the next hour.
const REFUSALS = [
  "signed-out",
  "caller-changed",
  "caller-not-identified",
  "user-not-eligible",
  "invitation-pending",
];
// Less than the service's own margin would throw people out of a design that they just opened.
// Aurora decides how long tokens live: it is never more than a quarter of that.
const COMFORTABLE = 3600;
// Enough to load the Client SDK with, when nothing better can be had.
const USABLE = 60;
// Longer than API Gateway's 30 seconds, so that its answer is always heard.
const ANSWER_WITHIN = 35_000;
// Bytes of a sign-in token that may not fit beside a browser's other headers. API Gateway's refusal
// of too many bytes bears no CORS header either.
const LARGE = 8000;
// Timers stop while the machine sleeps or the tab is frozen, and one of over 2³¹ ms ends at once.
const LOOK_AGAIN = 60_000;
const WAKING = ["visibilitychange", "resume", "pageshow", "online"];
// Whoever signs in differs in one of these, also where a provider gives everybody one `sub`.
const IDENTITY = ["iss", "sub", "oid", "email", "emails", "upn", "preferred_username"];
// The lock only saves requests (the service itself lets one generate through): nobody hangs on it.
const LOCK_WITHIN = 10_000;

export class TokenError extends Error {
  /**
   * @param {Api.Slug} slug
   * @param {About} [about]
   */
  constructor(slug, { status = 0, problem, retryAfter, detail, cause } = {}) {
    super(problem?.detail ?? problem?.title ?? detail ?? slug, { cause });
    this.name = "TokenError";
    this.slug = slug;
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/** @type {typeof Api.createTokenSource} */
export function createTokenSource(options) {
  const { endpoint, getCallerToken, patience = 900, renew = "never" } = options;
  // A server that renders the page has neither an address nor storage.
  const name = `aurora-token ${attempt(() => new URL(endpoint, location.href)) ?? endpoint}`;
  const storage = attempt(() => (options.storage === "session" ? sessionStorage : null));
  /** @type {(BroadcastChannel & { unref?: () => void }) | null} */
  const channel = attempt(() => new BroadcastChannel(name));
  channel?.unref?.(); // In Node, it would keep the process.
  /** @type {Set<Api.TokenCallbacks>} */
  const listeners = new Set([options]);
  /** @type {Map<string, Flight>} */
  const flights = new Map();
  const closing = new AbortController();
  const watch = lookOften(look, { aside: true });
  /** @type {Kept | null} */
  let kept = null;
  /** @type {Caller | undefined} */
  let present;
  let forgotten = 0;
  // How far the service's clock is ahead of the browser's, in milliseconds, as far as is known.
  let ahead = 0;
  /** @type {Session | null} */
  let session = null;
  // Of the kept token's end: the token that the page was told of, the one that nothing renews,
  // whether a renewal is under way, and when the next makes sense.
  const end = { told: "", lost: "", renewing: false, next: 0 };

  keep(attempt(() => JSON.parse(storage?.getItem(name) ?? "null")), { quietly: true });
  // Only pages of this origin can post here, but another person may be signed in to them.
  channel?.addEventListener("message", ({ data }) => {
    if (!data.who || data.who !== (present?.who ?? kept?.who)) return;
    if (!data.entry) {
      forgotten += 1;
      if (flights.size) endFlights(signedOut());
    }
    if (data.entry || kept) keep(data.entry, { replaced: data.replaced });
  });

  /** @template {Callback} C @param {C} callback @param {Parameters<Required<Api.TokenCallbacks>[C]>[0]} [what] */
  function tellPage(callback, what) {
    for (const listener of [...listeners]) isolated(/** @type {any} */ (listener[callback]))(what);
  }

  /**
   * @param {Kept | null | undefined} entry
   * @param {{ quietly?: boolean, replaced?: string }} [how] `replaced` is the token that failed
   */
  function keep(entry, { quietly = false, replaced } = {}) {
    const now = Date.now();
    // From storage, anything may come.  What is from the browser's future has an age that nobody
    // knows: its clock was put back meanwhile.
    if (entry && !(entry.token?.jwt && entry.at <= now + 1000)) return;
    // An answer that was overtaken must not bring back a token that has been replaced since.
    // Lives are whole seconds: the one made for a failed token may seem to end before that.
    const overtaken = kept?.who === entry?.who && kept?.token.jti !== replaced;
    if (entry && kept && overtaken && ends(entry) < ends(kept)) return;
    kept = entry ? { ...entry, born: performance.now() - (now - entry.at) } : null;
    const text = entry && JSON.stringify(entry);
    attempt(() => (text ? storage?.setItem(name, text) : storage?.removeItem(name)));
    watch.look();
    if (quietly) return;
    tellPage("onToken", kept && handedOver(kept));
    if (!kept) session?.end({ reason: "signed-out" });
  }

  /** @param {string} who @param {number | undefined} least @param {string} [replaced] */
  function cached(who, least, replaced) {
    if (!kept || !who || kept.who !== who || kept.token.jti === replaced) return null;
    return remaining(kept) > (least ?? comfortable(kept)) ? handedOver(kept) : null;
  }

  /** @returns {Promise<Caller | null>} */
  async function signedIn() {
    const token = await getCallerToken();
    if (!token) return null;
    const claims = unverifiedClaims(token);
    const named = IDENTITY.slice(1).some((claim) => claims[claim]);
    // Without an identity nothing is kept, for nobody could tell whose it is.
    const who = named ? JSON.stringify(IDENTITY.map((each) => claims[each])) : "";
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
    tellPage("onSignedOut");
    return new TokenError("signed-out", about);
  }

  /**
   * @param {string} method @param {Caller} from @param {AbortSignal} [signal] @param {object} [body]
   * @returns {Promise<any>}
   */
  async function ask(method, from, signal, body) {
    if (signal?.aborted) throw abortion(signal);
    const headers = { authorization: `Bearer ${from.token}`, "content-type": "application/json" };
    const asked = within(ANSWER_WITHIN, signal, async (signal) => {
      const answer = await (options.fetch ?? globalThis.fetch)(endpoint, {
        method,
        headers,
        body: body && JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        redirect: "error", // The bearer token is for this address alone.
        keepalive: method === "DELETE", // A person who signs out leaves the page.
        signal,
      });
      return { answer, json: await answer.json().catch(() => null) };
    });
    const { answer, json } = await asked.catch((cause) => {
      if (signal?.aborted) throw abortion(signal);
      // API Gateway's 401 bears no CORS header, so a browser shows it as a network failure.
      if (from.expired) throw signedOut({ cause });
      const size = from.token.length;
      if (size < LARGE) throw new TokenError("unreachable", { cause });
      const detail = `Sign-in token of ${size} bytes: API Gateway takes 10,240 of headers.`;
      throw new TokenError("caller-token-too-large", { cause, detail });
    });
    const { status } = answer;
    if (status === 401) throw signedOut({ status });
    if (status === 204) return null;
    if (answer.ok && json?.token?.jwt && json.token.expires_in > 0) return json;
    const ours = typeof json?.type === "string" && json.type.startsWith(URN);
    const slug = ours ? json.type.slice(URN.length) : "unexpected-answer";
    const problem = ours ? json : undefined;
    throw new TokenError(slug, { status, problem, retryAfter: retryAfter(answer.headers) });
  }

  /** @param {Caller} from @param {Wish} wish @param {AbortSignal} signal */
  async function vend(from, { least, replaced }, signal) {
    // Counted from before the request: the answer may have been long on its way.
    const at = Date.now();
    const body = { min_ttl: least, replace: replaced };
    const { token, user, source } = await ask("POST", from, signal, body);
    const { jwt, jti, expires_at, expires_in } = token;
    ahead = Date.parse(expires_at) - expires_in * 1000 - Date.now() || 0;
    const entry = { who: from.who, at, life: expires_in, token: { jwt, jti, user, source } };
    // While the answer was on its way, somebody may have signed out, or somebody else in.
    const now = await signedIn();
    if (signal.aborted) throw abortion(signal);
    if (!now) throw signedOut();
    if (now.who !== from.who) throw new TokenError("caller-changed");
    // An answer for another address than the sign-in's is handed over, but kept for nobody.
    if (from.who && (!from.email || sameAddress(from.email, user?.email))) {
      keep(entry, { replaced });
      tell({ who: from.who, entry, replaced });
    }
    return handedOver(entry);
  }

  /** @param {{ who: string, entry: Kept | null, replaced?: string }} message */
  function tell(message) {
    if (message.who) attempt(() => channel?.postMessage(message));
  }

  /** @param {Caller} from @param {Wish} wish @param {AbortSignal} signal */
  async function persist(from, wish, signal) {
    const { who } = from;
    const { least, replaced } = wish;
    const until = performance.now() + (wish.patience ?? patience) * 1000;
    for (let blind = 0; ; from = await caller()) {
      if (from.who !== who) throw new TokenError("caller-changed");
      const now = from;
      try {
        return await exclusively(
          `${name} ${who}`,
          signal,
          async () => cached(who, least, replaced) ?? vend(now, wish, signal),
        );
      } catch (error) {
        if (!(error instanceof TokenError) || !passes(error)) throw error;
        const usable = cached(who, least ?? USABLE, replaced);
        if (usable) return usable;
        if (error.retryAfter === undefined && ++blind > TRIES_WITHOUT_RETRY_AFTER) throw error;
        // Not waited for under the lock: every tab shows its own place in the queue.
        const wait = 1000 * (error.retryAfter ?? 2 ** blind * (0.5 + Math.random() / 2));
        if (performance.now() + wait > until) throw error;
        tellPage("onWaiting", { until: new Date(Date.now() + wait), problem: error });
        await pause(wait, signal, error.slug === "unreachable");
      }
    }
  }

  /** @param {Wish} wish */
  async function obtain(wish) {
    const { least, replaced, signal } = wish;
    const era = forgotten;
    const from = await caller();
    if (era !== forgotten) throw signedOut();
    const ready = cached(from.who, least, replaced);
    if (ready) return ready;
    // Another token might end the session that somebody works in: that is for the page to say.
    const enough = least === undefined && cached(from.who, USABLE, replaced);
    if (enough && (await sessionIsOpen())) return enough;
    if (signal?.aborted) throw abortion(signal);
    // Who cannot be told apart does not share a request either.
    const key = JSON.stringify([from.who || from.token, least, replaced, wish.patience]);
    const flight = flights.get(key) ?? depart(key, (until) => persist(from, wish, until));
    flight.callers += 1;
    try {
      return await unlessAborted(flight.promise, signal);
    } finally {
      if (--flight.callers === 0) flight.end();
    }
  }

  /** @param {string} jti @param {AbortSignal} [signal] */
  async function replacement(jti, signal) {
    try {
      return await obtain({ replaced: jti, signal });
    } catch (/** @type {any} */ error) {
      if (kept?.token.jti === jti && REFUSALS.includes(error.slug)) {
        keep(null, { quietly: true });
        // Whether a session on it goes on is for the Client SDK to say.
        tellPage("onToken", null);
      }
      throw error;
    }
  }

  /** @param {string} key @param {(signal: AbortSignal) => Promise<Api.AccessToken>} work */
  function depart(key, work) {
    const controller = new AbortController();
    const { signal } = controller;
    /** @type {Error | undefined} */
    let why;
    const promise = unlessAborted(work(signal), signal, () => why);
    /** @type {Flight} */
    const flight = {
      promise,
      callers: 0,
      end(reason) {
        why = reason;
        if (flights.get(key) === flight) flights.delete(key);
        controller.abort();
      },
    };
    flights.set(key, flight);
    return flight;
  }

  /** @param {Error} why */
  function endFlights(why) {
    for (const flight of [...flights.values()]) flight.end(why);
  }

  /** @param {AbortSignal | undefined} signal @param {() => Promise<Api.AccessToken>} work */
  async function untilClosed(signal, work) {
    const closed = () => new TokenError("closed");
    if (closing.signal.aborted) throw closed();
    return unlessAborted(unlessAborted(work(), signal), closing.signal, closed);
  }

  // The token's end, and the session that runs on it ---------------------------------------------

  /**
   * See whether an end is near; give the milliseconds after which to look again.
   * @param {Event} [event]
   */
  function look(event) {
    if (event && "persisted" in event && event.persisted) void lookWhoIsThere();
    if (session && remaining(session.entry) <= 0) session.end({ reason: "expired" });
    if (kept && remaining(kept) <= comfortable(kept)) void meetEnd(kept);
    if (!kept && !session) return undefined;
    const moments = [kept && remaining(kept) - comfortable(kept), session && remaining(session.entry)];
    return Math.min(...moments.map((left) => (left && left > 0 ? left * 1000 : LOOK_AGAIN)));
  }

  /** @param {Kept} entry */
  async function meetEnd(entry) {
    const { jti } = entry.token;
    if (end.renewing) return;
    end.renewing = true;
    await renewUnasked(jti).catch((error) => {
      const later = error instanceof TokenError && passes(error);
      if (later) end.next = Date.now() + 1000 * (error.retryAfter ?? 0);
      else end.lost = jti;
    });
    end.renewing = false;
    if (kept !== entry || end.told === jti) return;
    end.told = jti;
    const token = handedOver(entry);
    tellPage("onExpiring", { token, at: token.expiresAt });
  }

  /** @param {string} jti */
  async function renewUnasked(jti) {
    if (renew === "never" || end.lost === jti || Date.now() < end.next) return;
    if (renew === "idle" && (await sessionIsOpen())) return;
    // Nobody asked, so nobody is told of a wait.
    await renewal({ patience: 0 });
  }

  /** @param {Wish} wish */
  function renewal(wish) {
    // A minute more than is comfortable: a stored token that is about to near its end would not do.
    const least = kept ? Math.ceil(Math.min(comfortable(kept) + 60, kept.life / 2)) : undefined;
    return obtain({ least, ...wish });
  }

  /** In the back/forward cache, a page does not hear that somebody signed out. */
  async function lookWhoIsThere() {
    const had = kept;
    const now = await signedIn().catch(() => undefined);
    if (!had || kept !== had || now === undefined || now?.who === had.who) return;
    keep(null);
    if (!now) signedOut();
  }

  /** See whether a Client SDK session of this person's is open in this tab, or in another. */
  async function sessionIsOpen() {
    if (session) return true;
    const { held = [] } = (await attempt(() => navigator.locks.query())?.catch(() => null)) ?? {};
    return held.some((lock) => lock.name === sessionLock(kept?.who));
  }

  /** @param {string | undefined} who */
  function sessionLock(who) {
    return `${name} session ${who}`;
  }

  return {
    getToken: ({ minTtl, signal } = {}) =>
      untilClosed(signal, () => obtain({ least: minTtl, signal })),
    renew: ({ signal } = {}) => untilClosed(signal, () => renewal({ signal })),
    replaceToken: (jti, { signal } = {}) =>
      untilClosed(signal, () => replacement(jti, signal)),
    async forget({ signal } = {}) {
      if (signal?.aborted) throw abortion(signal);
      forgotten += 1;
      // Who signed out at the provider first is no longer signed in here.
      const last = present;
      tell({ who: last?.who ?? kept?.who ?? "", entry: null });
      endFlights(new TokenError("signed-out"));
      keep(null);
      const from = (await signedIn().catch(() => null)) ?? last;
      if (!from) return;
      if (from.who !== last?.who) tell({ who: from.who, entry: null });
      await ask("DELETE", from, signal);
    },
    subscribe(callbacks) {
      const listener = { ...callbacks };
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    watchSession({ sdk, token, onOver, endEvents = SESSION_END_EVENTS }) {
      session?.stop();
      const at = Date.now();
      const life = (token.expiresAt.getTime() - at) / 1000;
      const entry = { who: present?.who ?? "", at, born: performance.now(), life, token };
      const letGo = holdLock(sessionLock(entry.who));
      const unsubscribe = listen(sdk, endEvents, (event, detail) => {
        const reason =
          remaining(entry) <= USABLE ? "expired"
          : kept && kept.token.jti !== token.jti ? "replaced"
          : "taken-over";
        own.end({ reason, event, detail });
      });
      /** @type {Session} */
      const own = {
        entry,
        stop() {
          if (session === own) session = null;
          letGo();
          unsubscribe();
        },
        end(over) {
          own.stop();
          isolated(onOver)(over);
          watch.look();
        },
      };
      session = own;
      watch.look();
      return () => {
        own.stop();
        watch.look();
      };
    },
    close() {
      closing.abort();
      endFlights(new TokenError("closed"));
      session?.stop();
      listeners.clear();
      watch.stop();
      channel?.close();
    },
  };
}

let failedImports = 0;

/** @param {string} url */
async function importLoader(url) {
  // Firefox remembers that a module did not load: under another fragment, it asks again.
  const again = failedImports ? `#${failedImports}` : "";
  try {
    // Bundlers would look for the address among their own modules.
    return await import(/* webpackIgnore: true */ /* @vite-ignore */ url + again);
  } catch (error) {
    failedImports += 1;
    throw error;
  }
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
  const { tokenSource, loaderUrl = LOADER_URL, tokenOption = TOKEN_OPTION, signal } = options;
  const [library, token] = await Promise.all([
    importLoader(loaderUrl),
    // A session that is opened ends the one before anyway: no moment is better for a renewal.
    tokenSource.renew({ signal }).catch((error) => {
      if (error.slug !== "too-many-renewals") throw error;
      return tokenSource.getToken({ signal });
    }),
  ]);
  if (signal?.aborted) throw abortion(signal);
  const sdk = await library.load({ [tokenOption]: token.jwt });
  if (signal?.aborted) {
    // Nobody will ever hold it.  Whether Aurora's has a `close` is not published.
    isolated(() => sdk.close?.())();
    throw abortion(signal);
  }
  const { onOver, endEvents } = options;
  const unwatch = tokenSource.watchSession({ sdk, token, onOver, endEvents });
  return { sdk, token, unwatch };
}

/** @param {Kept} entry */
const ends = ({ at, life }) => at + life * 1000;

/** @param {Kept} entry */
const comfortable = ({ life }) => Math.min(COMFORTABLE, life / 4);

/**
 * Milliseconds since a moment, neither clock's reading mattering.  The monotonic clock is asked too,
 * because the other may be put back; it alone would stop in sleep.
 * @param {number} at @param {number} [born] the same moment on the monotonic clock
 */
const elapsed = (at, born = Infinity) => Math.max(Date.now() - at, performance.now() - born);

/** @param {Kept} entry */
const remaining = ({ at, life, born }) => life - Math.max(0, elapsed(at, born)) / 1000;

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
 * @param {string} name @param {AbortSignal} signal @param {() => Promise<T>} work
 */
async function exclusively(name, signal, work) {
  const asked = performance.now();
  /** @type {Promise<T> | undefined} */
  let result;
  const once = () => (result ??= work());
  try {
    return await within(LOCK_WITHIN, signal, (signal) =>
      navigator.locks.request(name, { signal }, async () => {
        // What the last holder posted may arrive a little later than its lock.
        if (performance.now() - asked > 10) await pause(50, signal);
        return once();
      }),
    );
  } catch {
    return once();
  }
}

/**
 * Give `work` a signal that is aborted with another one, or after so many milliseconds.
 * @template T
 * @param {number} milliseconds @param {AbortSignal | undefined} signal
 * @param {(signal: AbortSignal) => Promise<T>} work
 */
async function within(milliseconds, signal, work) {
  // AbortSignal.any and AbortSignal.timeout are younger than the browsers that this runs in.
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, milliseconds);
  signal?.addEventListener("abort", abort);
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/**
 * Hold a lock with others, for as long as this page lives or until it is let go.
 * @param {string} name
 */
function holdLock(name) {
  /** @type {() => void} */
  let letGo = () => {};
  const held = new Promise((resolve) => { letGo = () => resolve(null); });
  attempt(() => navigator.locks.request(name, { mode: "shared" }, () => held))?.catch(() => {});
  return letGo;
}

/**
 * Listen to the Client SDK's event bus, where it has one.
 * @param {any} sdk @param {readonly string[]} events
 * @param {(event: string, detail: unknown) => void} heard
 */
function listen(sdk, events, heard) {
  const undo = events.map((event) => {
    const handler = (/** @type {unknown} */ detail) => heard(event, detail);
    const off = attempt(() => sdk.event.on(event, handler));
    return () => attempt(() => (typeof off === "function" ? off() : sdk.event.off(event, handler)));
  });
  return () => undo.forEach((each) => each());
}

/**
 * Look when told to, again after the milliseconds that `look` gave, and after whatever stops timers.
 * @param {(event?: Event) => number | undefined} look
 * @param {{ aside?: boolean }} [how] `aside` does not keep a Node process alive
 */
function lookOften(look, { aside = false } = {}) {
  /** @type {any} */
  let timer;
  let stopped = false;
  /** @param {Event} [event] */
  const again = (event) => {
    clearTimeout(timer);
    const next = look(event);
    if (stopped || next === undefined) return;
    // A timer takes whole milliseconds, and would come a little early for the rest.
    timer = setTimeout(again, Math.min(Math.ceil(next), LOOK_AGAIN));
    if (aside) timer.unref?.();
  };
  for (const event of WAKING) globalThis.addEventListener?.(event, again, true);
  return {
    look: () => again(),
    stop() {
      stopped = true;
      clearTimeout(timer);
      for (const event of WAKING) globalThis.removeEventListener?.(event, again, true);
    },
  };
}

/** @param {number} milliseconds @param {AbortSignal} signal @param {boolean} [untilOnline] */
async function pause(milliseconds, signal, untilOnline = false) {
  const [at, born] = [Date.now(), performance.now()];
  /** @type {ReturnType<typeof lookOften> | undefined} */
  let watch;
  const over = new Promise((resolve) => {
    watch = lookOften((event) => {
      const left = milliseconds - elapsed(at, born);
      if (left > 0 && !(untilOnline && event?.type === "online")) return left;
      return void resolve(null);
    });
    watch.look();
  });
  await unlessAborted(over, signal).finally(() => watch?.stop());
}

/**
 * @template T
 * @param {Promise<T>} promise @param {AbortSignal | undefined} signal @param {() => unknown} [why]
 * @returns {Promise<T>}
 */
function unlessAborted(promise, signal, why = () => signal && abortion(signal)) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(why());
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** @param {AbortSignal} signal */
function abortion(signal) {
  // Before 2022, browsers kept no reason.
  return signal.reason ?? new DOMException("The call was aborted.", "AbortError");
}

/** @param {string} one @param {string | undefined} other */
function sameAddress(one, other) {
  const form = (/** @type {string} */ text) => text.trim().normalize("NFC").toLowerCase();
  return other !== undefined && form(one) === form(other);
}

/**
 * A page's callback that throws, or rejects, changes nothing of what happens to its token.
 * @template {unknown[]} A
 * @param {((...args: A) => unknown) | undefined} callback
 * @returns {(...args: A) => void}
 */
function isolated(callback) {
  return (...args) => {
    (async () => callback?.(...args))().catch((error) => console.error(error));
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
