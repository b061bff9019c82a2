// Aurora's Client SDK on a token source: its loader, and the life of its one session.
// It needs aurora-token.js beside it only for the token source that it is given; the types are in sdk.d.ts.

/** @import * as Api from "./sdk.js" */

// Aurora publishes neither a loader for production nor the name of the option that takes the JWT: the
// address is that of their "Access Token" page, the name is a guess.  Correct them here.
export const LOADER_URL = "https://aurora-sdk.s3.amazonaws.com/client-sdk-loader.next.js";
export const TOKEN_OPTION = "token";
// Public pages call `sdk.event.on(…)`; none names an event that ends a session.  These are guesses.
export const SESSION_END_EVENTS = ["session.ended", "session.expired", "session.conflict"];

// A session that does not close, or a load that never ends, holds up the next one so long, in milliseconds.
const CLOSE_WITHIN = 10_000;
// Timers stop while the machine sleeps or the tab is frozen.
const LOOK_AGAIN = 60_000;
const WAKING = ["visibilitychange", "resume", "pageshow", "online"];
// Milliseconds of life with which a token counts as run out when the SDK ends its session.
const AT_THE_END = 60_000;

/** By token source, the end of what was loaded last: Aurora allows a person one session. @type {WeakMap<object, () => Promise<unknown>>} */
const ends = new WeakMap();

/**
 * For testing, in a sandbox only, Aurora's page loads the SDK with an account's own credentials:
 *
 *     const library = await import(LOADER_URL);
 *     const sdk = await library.load({ username: "…", password: "…" });
 *
 * @type {typeof Api.loadClientSDK}
 */
export function loadClientSDK(options) {
  const { tokenSource, signal } = options;
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  const last = atMost(CLOSE_WITHIN, ends.get(tokenSource)?.());
  const loaded = load(options, controller, last).finally(() => signal?.removeEventListener("abort", abort));
  ends.set(tokenSource, () => {
    controller.abort();
    // A load that is given up early ends before what it waited for does.
    return Promise.all([last, loaded.then(({ close }) => close(), () => {})]);
  });
  // Who leaves does not wait until the SDK has loaded and is closed again; the next load does.
  return new Promise((resolve, reject) => {
    controller.signal.addEventListener("abort", () => reject(abortion(controller.signal)));
    loaded.then(resolve, reject);
  });
}

/** @param {number} milliseconds @param {Promise<unknown>} [done] */
const atMost = (milliseconds, done) => done && Promise.race([done, new Promise((resolve) => setTimeout(resolve, milliseconds))]);

/** @param {Api.LoadOptions} options @param {AbortController} controller @param {Promise<unknown>} [last] */
async function load(options, controller, last) {
  const { tokenSource, loaderUrl = LOADER_URL, tokenOption = TOKEN_OPTION, close = (sdk) => sdk.close?.() } = options;
  const { signal } = controller;
  const leave = () => { if (signal.aborted) throw abortion(signal); };
  leave();
  // A session that is opened ends the one before anyway: no moment is better for a renewal.
  const renewed = tokenSource.renew({ signal }).catch((error) => {
    if (error.slug !== "too-many-renewals") throw error;
    return tokenSource.getToken({ signal });
  });
  const [library, token] = await Promise.all([importLoader(loaderUrl), renewed]).catch((error) => {
    controller.abort(error);
    throw error;
  });
  await last;
  leave();
  const sdk = await library.load({ [tokenOption]: token.jwt });
  const end = async () => close(sdk);
  if (signal.aborted) await end().catch((error) => console.error(error));
  leave();
  const unwatch = watchSession({ ...options, sdk, token });
  /** @type {Promise<unknown> | undefined} */
  let closed;
  return {
    sdk,
    token,
    close() {
      unwatch();
      return (closed ??= end().catch((error) => console.error(error)));
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

/** @type {typeof Api.watchSession} */
export function watchSession({ tokenSource, sdk, token, onOver, onExpiring, endEvents = SESSION_END_EVENTS }) {
  const [at, born] = [Date.now(), performance.now()];
  const [life, near] = [token.expiresAt.getTime() - at, token.renewAt.getTime() - at];
  // Neither clock's reading matters: one may be put back, the other stops in sleep.
  const passed = () => Math.max(Date.now() - at, performance.now() - born);
  const letGo = tokenSource.holdSession();
  let [isReplaced, isTold, isOpen] = [false, false, true];
  /** @type {any} */
  let timer;

  function look() {
    clearTimeout(timer);
    const left = life - passed();
    if (left <= 0) return end({ reason: "expired" });
    if (passed() >= near && !isTold) {
      isTold = true;
      isolated(onExpiring, { at: new Date(Date.now() + left) });
    }
    timer = setTimeout(look, Math.min(Math.ceil(isTold ? left : near - passed()), LOOK_AGAIN));
    timer.unref?.(); // In Node, it would keep the process.
  }

  function stop() {
    if (!isOpen) return false;
    isOpen = false;
    clearTimeout(timer);
    for (const undo of undos) undo();
    return true;
  }

  /** @param {Api.SessionOver} over */
  const end = (over) => stop() && isolated(onOver, over);

  const undos = [
    letGo,
    tokenSource.subscribe({
      onToken(next, why) {
        if (next) isReplaced = next.jti !== token.jti;
        // Whether a session goes on for a person whom the service refuses is for the SDK to say.
        else if (why === "signed-out") end({ reason: "signed-out" });
      },
    }),
    ...endEvents.map((event) => listen(sdk, event, (detail) => {
      const reason = life - passed() <= AT_THE_END ? "expired" : isReplaced ? "replaced" : "taken-over";
      end({ reason, event, detail });
    })),
    () => WAKING.forEach((event) => globalThis.removeEventListener?.(event, look, true)),
  ];
  WAKING.forEach((event) => globalThis.addEventListener?.(event, look, true));
  look();
  return () => void stop();
}

/** Listen to the Client SDK's event bus, where it has one. @param {any} sdk @param {string} event @param {(detail: unknown) => void} heard */
function listen(sdk, event, heard) {
  const attempt = (/** @type {() => any} */ action) => { try { return action(); } catch { return undefined; } };
  const off = attempt(() => sdk.event.on(event, heard));
  return () => attempt(() => (typeof off === "function" ? off() : sdk.event.off(event, heard)));
}

/** A page's callback that throws, or rejects, changes nothing. @param {((...what: any[]) => unknown) | undefined} callback @param {...any} what */
function isolated(callback, ...what) {
  (async () => callback?.(...what))().catch((error) => console.error(error));
}

/** Before 2022, browsers kept no reason. @param {AbortSignal} signal */
const abortion = (signal) => signal.reason ?? new DOMException("aborted", "AbortError");
