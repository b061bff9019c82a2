// The same app with Vue's composables; one component has the session.
import { createApp, h } from "vue";
import { createTokenSource } from "./web/aurora-token.js";
import { useAuroraSDK, useAuroraToken } from "./web/vue.js";

const tokenSource = createTokenSource({ endpoint: "/token", getCallerToken: () => callerToken });
Object.assign(window, { tokenSource });

const App = {
  setup() {
    const { token, problem, waiting, expiring, retry } = useAuroraToken(tokenSource);
    const design = useAuroraSDK(tokenSource, { loaderUrl: "/counting.js" });
    return () => [
      h("p", { id: "token" }, token.value?.jti),
      h("p", { id: "problem" }, problem.value?.slug),
      h("p", { id: "waiting" }, waiting.value?.problem.slug),
      h("p", { id: "expiring" }, expiring.value?.token.jti),
      h("button", { id: "retry", onClick: retry }),
      h("p", { id: "sdk-1" }, design.sdk.value && `session ${design.sdk.value.number}`),
      h("p", { id: "sdk-problem-1" }, design.problem.value?.message),
      h("p", { id: "over-1" }, design.over.value?.reason),
      h("button", { id: "reload-1", onClick: design.reload }),
    ];
  },
};

window.mount = () => {
  const app = createApp(App);
  app.mount(document.body.appendChild(document.createElement("main")));
  window.unmount = () => app.unmount();
};
