"use client";
// React hooks over a token source.  Create the source once, in a module of its own.

import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { sdkStore, tokenStore } from "./hooks.js";

/** @import * as Hooks from "./react.js" */

/** @type {typeof Hooks.useAuroraToken} */
export function useAuroraToken(tokenSource) {
  const store = useMemo(() => tokenStore(tokenSource), [tokenSource]);
  return { ...useSyncExternalStore(store.subscribe, store.get, store.get), refetch: store.restart };
}

/** @type {typeof Hooks.useAuroraSDK} */
export function useAuroraSDK(tokenSource, options = {}) {
  const latest = useRef(options);
  const store = useMemo(() => sdkStore(tokenSource, () => latest.current), [tokenSource]);
  const state = useSyncExternalStore(store.subscribe, store.get, store.get);
  const { over } = state;
  useEffect(() => {
    latest.current = options;
  });
  useEffect(() => {
    if (over) latest.current.onOver?.(over);
  }, [over]);
  return { ...state, reload: store.restart };
}
