// Vue composables over a token source.  Create the source once, in a module of its own.

import { onMounted, onUnmounted, shallowRef } from "vue";
import { sdkStore, tokenStore } from "./hooks.js";

/** @import * as Composables from "./vue.js" */

/** @type {typeof Composables.useAuroraToken} */
export function useAuroraToken(tokenSource) {
  const store = tokenStore(tokenSource);
  return /** @type {any} */ ({ ...followed(store), refetch: store.restart });
}

/** @type {typeof Composables.useAuroraSDK} */
export function useAuroraSDK(tokenSource, options = {}) {
  const store = sdkStore(tokenSource, () => options);
  const state = followed(store, ({ over }) => over && options.onOver?.(over));
  return /** @type {any} */ ({ ...state, reload: store.restart });
}

/** @param {any} store @param {(state: any) => unknown} [seen] */
function followed(store, seen) {
  const refs = Object.fromEntries(Object.entries(store.get()).map(([name, value]) => [name, shallowRef(value)]));
  function follow() {
    const [state, before] = [store.get(), refs.over?.value];
    for (const [name, ref] of Object.entries(refs)) ref.value = state[name];
    if (state.over !== before) seen?.(state);
  }
  let leave = () => {};
  // A server that renders the page mounts nothing.
  onMounted(() => {
    leave = store.subscribe(follow);
    follow();
  });
  onUnmounted(() => leave());
  return refs;
}
