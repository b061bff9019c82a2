import { createTokenSource } from "aurora-token-vendor";
import { UserManager } from "oidc-client-ts";

/** Any OIDC client does that gives the person's ID token. */
const oidc = new UserManager({
  authority: import.meta.env.VITE_ISSUER,
  client_id: import.meta.env.VITE_CLIENT_ID,
  redirect_uri: location.origin + location.pathname,
  scope: "openid profile email",
});

/** One for the whole app, in a module that a component's hot reload leaves alone. */
export const tokenSource = createTokenSource({
  endpoint: import.meta.env.VITE_TOKEN_URL,
  getCallerToken: async () => (await oidc.getUser())?.id_token,
});

import.meta.hot?.dispose(() => tokenSource.close());

/** Finish a sign-in that comes back to this page; give the person's name, or null without a person. */
export async function whoIsSignedIn(): Promise<string | null> {
  if (new URLSearchParams(location.search).has("state")) {
    // Stopped at the provider, or an address that was used before: the person may sign in again.
    await oidc.signinCallback().catch(console.warn);
    history.replaceState(null, "", location.pathname);
  }
  const profile = (await oidc.getUser())?.profile;
  return profile?.email ?? profile?.sub ?? null;
}

export const signIn = () => oidc.signinRedirect();

/** In this tab alone: each keeps its own sign-in. */
export const dropSignIn = () => oidc.removeUser();

/** In every tab, and at the service; without an answer from there, the person is signed out all the same. */
export async function signOut() {
  await tokenSource.forget().catch(console.warn);
  await dropSignIn();
}
