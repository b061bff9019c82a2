import { createTokenSource } from "aurora-token-vendor";

/** Put your OIDC client here: it gives the ID token of the person who is signed in, or null. */
const getCallerToken = () => sessionStorage.getItem("id_token");

/** One for the whole app. */
export const tokenSource = createTokenSource({
  endpoint: import.meta.env.VITE_TOKEN_URL ?? "/token",
  getCallerToken,
  renew: "idle",
});
