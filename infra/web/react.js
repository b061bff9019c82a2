"use client";
// React hooks over a token source.  Create the source once, outside of components.

import { useCallback, useEffect, useRef, useState } from "react";
import { loadClientSDK } from "./aurora-token.js";

/** @import * as Api from "./aurora-token.js" */
/** @import * as Hooks from "./react.js" */
/** @typedef {Awaited<ReturnType<typeof loadClientSDK>>} Loaded */
/**
 * @typedef {object} Session
 * @property {number} users
 * @property {Promise<Loaded>} loaded
 * @property {() => void} abort
 * @property {Set<{ over: (over: Api.SessionOver) => void, again: () => void }>} components
 */

/** @type {Omit<Hooks.AuroraToken, "retry">} */
const NO_TOKEN = { token: null, problem: null, waiting: null, expiring: null };
/** @type {Omit<Hooks.AuroraSDK, "reload">} */
const NO_SDK = { sdk: null, token: null, problem: null, over: null };

/** @type {typeof Hooks.useAuroraToken} */
export function useAuroraToken(tokenSource) {
  const [state, setState] = useState(NO_TOKEN);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    /** @param {Partial<typeof NO_TOKEN>} change */
    const change = (change) => setState((state) => ({ ...state, ...change }));
    change({ problem: null });
    const unsubscribe = tokenSource.subscribe({
      onToken: (token) => change({ ...NO_TOKEN, token }),
      onWaiting: (waiting) => change({ waiting }),
      onExpiring: (expiring) => change({ expiring }),
    });
    tokenSource.getToken({ signal }).then(
      (token) => signal.aborted || change({ token, problem: null, waiting: null }),
      (problem) => signal.aborted || change({ problem, waiting: null }),
    );
    return () => {
      unsubscribe();
      controller.abort();
    };
  }, [tokenSource, turn]);
  const retry = useCallback(() => setTurn((turn) => turn + 1), []);
  return { ...state, retry };
}

// By token source: what is loading or loaded.  Effects that React runs twice, and components that
// ask at the same time, share one session, as Aurora allows a person one.
/** @type {WeakMap<Api.TokenSource, Session>} */
const sessions = new WeakMap();

/** @type {typeof Hooks.useAuroraSDK} */
export function useAuroraSDK(tokenSource, options = {}) {
  const [state, setState] = useState(NO_SDK);
  const [turn, setTurn] = useState(0);
  const latest = useRef(options);
  const mine = useRef(/** @type {Session | null} */ (null));
  useEffect(() => {
    latest.current = options;
  });
  useEffect(() => {
    let here = true;
    const session = join(tokenSource, latest.current);
    mine.current = session;
    const component = {
      /** @param {Api.SessionOver} over */
      over(over) {
        setState((state) => ({ ...state, over }));
        latest.current.onOver?.(over);
      },
      again() {
        setState(NO_SDK);
        setTurn((turn) => turn + 1);
      },
    };
    session.components.add(component);
    session.loaded.then(
      ({ sdk, token }) => here && setState({ ...NO_SDK, sdk, token }),
      (problem) => here && setState({ ...NO_SDK, problem }),
    );
    return () => {
      here = false;
      session.components.delete(component);
      session.users -= 1;
      // React may come back at once.
      setTimeout(() => session.users > 0 || leave(tokenSource, session, latest.current), 0);
    };
  }, [tokenSource, turn]);
  const reload = useCallback(() => {
    const session = mine.current;
    if (!session) return;
    leave(tokenSource, session, latest.current);
    for (const component of [...session.components]) component.again();
  }, [tokenSource]);
  return { ...state, reload };
}

/** @param {Api.TokenSource} tokenSource @param {Hooks.AuroraSDKOptions} options */
function join(tokenSource, options) {
  let session = sessions.get(tokenSource);
  if (!session) {
    const controller = new AbortController();
    /** @type {Session["components"]} */
    const components = new Set();
    const loaded = loadClientSDK({
      ...options,
      tokenSource,
      signal: controller.signal,
      onOver: (over) => [...components].forEach((component) => component.over(over)),
    });
    session = { users: 0, loaded, components, abort: () => controller.abort() };
    sessions.set(tokenSource, session);
    // What failed is tried anew by the next one.
    loaded.catch(() => session && forget(tokenSource, session));
  }
  session.users += 1;
  return session;
}

/** @param {Api.TokenSource} tokenSource @param {Session} session */
function forget(tokenSource, session) {
  const there = sessions.get(tokenSource) === session;
  return there && sessions.delete(tokenSource);
}

/**
 * @param {Api.TokenSource} tokenSource @param {Session} session
 * @param {Hooks.AuroraSDKOptions} options
 */
function leave(tokenSource, session, { close = (sdk) => sdk.close?.() }) {
  if (!forget(tokenSource, session)) return;
  session.abort();
  session.loaded
    .then(({ sdk, unwatch }) => {
      unwatch();
      return close(sdk);
    })
    .catch((error) => error?.name === "AbortError" || console.error(error));
}
