// The same app with Vue's composables.
import { createApp, h } from "vue";
import { createTokenSource } from "./web/aurora-token.js";
import { useAuroraSDK, useAuroraToken } from "./web/vue.js";

const tokenSource = createTokenSource({ endpoint: "/token", getCallerToken: () => callerToken });
Object.assign(window, { tokenSource });

const Design = {
  props: ["id"],
  setup({ id }) {
    const { sdk, error, expiring, over, reload } = useAuroraSDK(tokenSource, { loaderUrl: "/counting.js" });
    return () => [
      h("p", { id: `sdk-${id}` }, sdk.value && `session ${sdk.value.number}`),
      h("p", { id: `sdk-error-${id}` }, error.value?.message),
      h("p", { id: `expiring-${id}` }, expiring.value && "soon"),
      h("p", { id: `over-${id}` }, over.value?.reason),
      h("button", { id: `reload-${id}`, onClick: reload }),
    ];
  },
};

const App = {
  setup() {
    const { status, token, error, waiting, refetch } = useAuroraToken(tokenSource);
    return () => [
      h("p", { id: "token" }, token.value?.jti),
      h("p", { id: "status" }, status.value),
      h("p", { id: "error" }, error.value?.slug),
      h("p", { id: "waiting" }, waiting.value?.error.slug),
      h("button", { id: "refetch", onClick: refetch }),
      h(Design, { id: 1 }),
      h(Design, { id: 2 }),
    ];
  },
};

window.mount = () => {
  const app = createApp(App);
  app.mount(document.body.appendChild(document.createElement("main")));
  window.unmount = () => app.unmount();
};
