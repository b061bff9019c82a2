// What the React hooks and the Vue composables have in common: states that components follow.

import { loadClientSDK } from "./sdk.js";

/** @import * as Hooks from "./hooks.js" */

/** @type {Hooks.TokenState} */
const NO_TOKEN = { status: "loading", token: null, error: null, waiting: null };
/** @type {Hooks.SDKState} */
const NO_SDK = { ...NO_TOKEN, sdk: null, expiring: null, over: null };

/** @param {any} error @returns {{ status: Hooks.Status, error: Error, waiting: null }} */
const failure = (error) => ({ status: error?.slug === "signed-out" ? "signed-out" : "failed", error, waiting: null });

/**
 * Keep a state for as long as somebody follows it.
 * @template {object} S @param {S} initial @param {(change: (change: Partial<S>) => void, get: () => S) => () => void} begin
 */
function store(initial, begin) {
  let state = initial;
  /** @type {(() => void) | undefined} */
  let end;
  const listeners = /** @type {Set<() => void>} */ (new Set());
  const get = () => state;
  const start = () => {
    let isOn = true;
    const change = (/** @type {Partial<S>} */ change) => {
      if (!isOn) return;
      state = { ...state, ...change };
      for (const listener of [...listeners]) listener();
    };
    const stop = begin(change, get);
    end = () => {
      isOn = false;
      stop();
    };
  };
  return {
    get,
    /** @param {() => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      if (!end) start();
      return () => {
        listeners.delete(listener);
        // React may come back at once.
        setTimeout(() => {
          if (listeners.size) return;
          end?.();
          end = undefined;
          state = initial;
        });
      };
    },
    restart() {
      if (!end) return;
      end();
      state = initial;
      start();
      for (const listener of [...listeners]) listener();
    },
  };
}

/** @type {typeof Hooks.tokenStore} */
export function tokenStore(tokenSource) {
  return store(NO_TOKEN, (change, get) => {
    const controller = new AbortController();
    const unsubscribe = tokenSource.subscribe({
      onToken: (token, why) => change({ ...NO_TOKEN, token, status: token ? "ready" : why === "refused" ? "failed" : "signed-out" }),
      onWaiting: (waiting) => change({ status: get().token ? "ready" : "waiting", waiting }),
    });
    tokenSource.getToken({ signal: controller.signal }).then(
      (token) => change({ ...NO_TOKEN, status: "ready", token }),
      (error) => change(failure(error)),
    );
    return () => {
      unsubscribe();
      controller.abort();
    };
  });
}

/** @type {WeakMap<object, ReturnType<typeof Hooks.sdkStore>>} */
const sdkStores = new WeakMap();

/** One for a token source: components that ask at the same time share one session. @type {typeof Hooks.sdkStore} */
export function sdkStore(tokenSource, options) {
  const there = sdkStores.get(tokenSource);
  if (there) return there;
  const made = store(NO_SDK, (change) => {
    const controller = new AbortController();
    const unsubscribe = tokenSource.subscribe({ onWaiting: (waiting) => change({ status: "waiting", waiting }) });
    const loaded = loadClientSDK({
      ...options(),
      tokenSource,
      signal: controller.signal,
      onOver: (over) => change({ status: "over", over, expiring: null }),
      onExpiring: (expiring) => change({ expiring }),
    }).finally(unsubscribe);
    loaded.then(
      ({ sdk, token }) => change({ ...NO_SDK, status: "ready", sdk, token }),
      (error) => change({ ...NO_SDK, ...failure(error) }),
    );
    return () => {
      controller.abort();
      loaded.then(({ close }) => close(), () => {});
    };
  });
  sdkStores.set(tokenSource, made);
  return made;
}
