// Vue composables over a token source.  Create the source once, outside of components.

import { onMounted, onUnmounted, shallowRef } from "vue";
import { loadClientSDK } from "./aurora-token.js";

/** @import * as Api from "./aurora-token.js" */
/** @import * as Composables from "./vue.js" */

/** @type {typeof Composables.useAuroraToken} */
export function useAuroraToken(tokenSource) {
  /** @type {Composables.AuroraToken["token"]} */
  const token = shallowRef(null);
  /** @type {Composables.AuroraToken["problem"]} */
  const problem = shallowRef(null);
  /** @type {Composables.AuroraToken["waiting"]} */
  const waiting = shallowRef(null);
  /** @type {Composables.AuroraToken["expiring"]} */
  const expiring = shallowRef(null);
  const controller = new AbortController();
  const { signal } = controller;
  /** @type {() => void} */
  let unsubscribe = () => {};

  async function retry() {
    problem.value = null;
    try {
      token.value = await tokenSource.getToken({ signal });
    } catch (error) {
      if (!signal.aborted) problem.value = /** @type {Error} */ (error);
    }
    waiting.value = null;
  }

  // A server that renders the page mounts nothing.
  onMounted(() => {
    unsubscribe = tokenSource.subscribe({
      onToken(next) {
        token.value = next;
        problem.value = waiting.value = expiring.value = null;
      },
      onWaiting: (wait) => { waiting.value = wait; },
      onExpiring: (end) => { expiring.value = end; },
    });
    return retry();
  });
  onUnmounted(() => {
    unsubscribe();
    controller.abort();
  });
  return { token, problem, waiting, expiring, retry };
}

/** @type {typeof Composables.useAuroraSDK} */
export function useAuroraSDK(tokenSource, options = {}) {
  /** @type {Composables.AuroraSDK["sdk"]} */
  const sdk = shallowRef(null);
  /** @type {Composables.AuroraSDK["token"]} */
  const token = shallowRef(null);
  /** @type {Composables.AuroraSDK["problem"]} */
  const problem = shallowRef(null);
  /** @type {Composables.AuroraSDK["over"]} */
  const over = shallowRef(null);
  const close = options.close ?? ((/** @type {Api.ClientSDK} */ sdk) => sdk.close?.());
  let controller = new AbortController();
  /** @type {() => void} */
  let unwatch = () => {};

  async function leave() {
    controller.abort();
    unwatch();
    const old = sdk.value;
    sdk.value = token.value = problem.value = over.value = null;
    if (old) await close(old);
  }

  async function load() {
    controller = new AbortController();
    const { signal } = controller;
    try {
      const loaded = await loadClientSDK({
        ...options,
        tokenSource,
        signal,
        onOver(why) {
          over.value = why;
          options.onOver?.(why);
        },
      });
      ({ sdk: sdk.value, token: token.value, unwatch } = loaded);
    } catch (error) {
      if (!signal.aborted) problem.value = /** @type {Error} */ (error);
    }
  }

  async function reload() {
    await leave();
    await load();
  }

  onMounted(load);
  onUnmounted(leave);
  return { sdk, token, problem, over, reload };
}
