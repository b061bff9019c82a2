// The demo page: what the token vendor's answers look like to a person.  aurora-token.js does the
// work; what stands here is sign-in and display.

import { createTokenSource, loadClientSDK } from "./aurora-token.js";

/** @typedef {{ state?: () => Promise<string>, close?: () => Promise<unknown> }} SDK */

/** @type {typeof import("oidc-client-ts")} */
const oidc = /** @type {any} */ (globalThis).oidc;
const SECOND = 1000;
const NOT_LOADED = "Not loaded.";
const IDLE = { busy: false, turn: null, status: "" };

// What the stand-in SDK says of a session that is over; the real one's events are not published.
/** @type {Record<string, string>} */
const OVER = {
  "another session was opened":
    "Your design session was opened somewhere else. Aurora allows one at a time.",
  "another token was generated": "Aurora closed this design session: you have got a new token.",
  "a newer token was loaded": "Aurora closed this design session: a newer token is in use.",
  expired: "This design session has run out.",
};
/** @type {Record<string, string[]>} */
const OWN_WORDS = {
  "signed-out": ["Your sign-in has run out", "Sign in again, and you can go on."],
  unreachable: ["The service cannot be reached", "Check the network, then try again."],
  "unexpected-answer": ["Something else answered", "That was not the token vendor. Try again."],
  "caller-changed": ["Somebody else has signed in", "Try again as that person."],
};

const shown = {
  /** @type {import("oidc-client-ts").User | null} */
  user: null,
  /** @type {import("./aurora-token.js").AccessToken | null} */
  token: null,
  /** @type {any} */
  error: null,
  /** @type {SDK | null} */
  sdk: null,
  /** @type {Date | null} */
  turn: null,
  session: NOT_LOADED,
  status: "",
  busy: false,
};

const config = await (await fetch("config.json")).json();
const manager = new oidc.UserManager({
  authority: config.issuer,
  client_id: config.client_id,
  redirect_uri: location.origin + location.pathname,
  scope: "openid profile email",
});
const tokenSource = createTokenSource({
  endpoint: config.token_url,
  getCallerToken: async () => (await manager.getUser())?.id_token,
  onWaiting({ until, problem }) {
    shown.turn = until;
    // Only a queue has turns; what is down is tried again.
    write({ "turn-what": problem.slug === "aurora-busy" ? "Your turn comes in" : "Trying again in" });
    shown.status = `${problem.problem?.title ?? "The service is not available right now"}.`;
    render();
  },
  onToken(token) {
    if (shown.token && !token) shown.status = "Your token was dropped.";
    shown.token = token;
    render();
  },
});

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);

/** @param {Record<string, string>} texts */
function write(texts) {
  for (const [id, text] of Object.entries(texts)) {
    // A live region that is written again is read out again.
    if (element(id).textContent !== text) element(id).textContent = text;
  }
}

/** @param {Date} end */
function timeTo(end) {
  const seconds = Math.max(0, Math.ceil((end.getTime() - Date.now()) / SECOND));
  const [h, min, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return [h && `${h} h`, (h || min) && `${min} min`, `${s} s`].filter(Boolean).join(" ");
}

function render() {
  const { user, token, error, sdk, turn, busy } = shown;
  const visible = {
    who: user,
    "sign-out": user,
    welcome: !user,
    problem: error,
    token: user && token,
    sdk: user && token,
    notice: shown.status,
    turn,
  };
  for (const [id, when] of Object.entries(visible)) element(id).hidden = !when;
  write({ status: shown.status, "who-name": user?.profile.email ?? user?.profile.sub ?? "" });
  if (token) {
    write({
      "token-email": token.user.email,
      "token-user": token.user.id,
      "token-jti": token.jti,
      "token-source": token.source === "stored" ? "the vendor's store" : "Aurora, newly generated",
    });
  }
  write({ "sdk-state": shown.session, load: shown.sdk ? "Load it again" : "Load the Client SDK" });
  if (!sdk && shown.session !== NOT_LOADED) write({ load: "Continue here" });
  if (error) describe(error);
  for (const button of document.querySelectorAll("main button")) button.ariaDisabled = String(busy);
  tick();
}

/** @param {any} error */
function describe(error) {
  const { slug, status, problem, message, retryAfter } = error;
  const [title, detail] = OWN_WORDS[slug] ?? [problem?.title ?? "That did not work", message];
  const wait = retryAfter ? ` Possible again in ${Math.ceil(retryAfter / 60)} min.` : "";
  write({
    "problem-title": title ?? "",
    "problem-detail": `${detail}${wait}`,
    "problem-raw": JSON.stringify(problem ?? { slug, status, message }, null, 2),
    "try-again": slug === "signed-out" ? "Sign in again" : "Try again",
  });
}

function tick() {
  if (shown.token) write({ "token-left": timeTo(shown.token.expiresAt) });
  if (shown.turn) write({ "turn-left": timeTo(shown.turn) });
}

/**
 * Carry out what a button says, one at a time: buttons keep the focus, so they are not disabled.
 * @param {string} status @param {() => Promise<unknown>} action
 */
async function act(status, action) {
  if (shown.busy) return;
  const { user } = shown;
  /** @type {unknown} */
  let error = null;
  Object.assign(shown, { busy: true, error, status });
  render();
  try {
    await action();
  } catch (thrown) {
    error = thrown;
  }
  // Whoever signed out meanwhile is not told how it ended.
  if (shown.user === user) Object.assign(shown, IDLE, { error });
  render();
}

const signIn = () => act("Going to the sign-in page …", () => manager.signinRedirect());
const getToken = () => act("Getting your token …", async () => {
  shown.token = await tokenSource.getToken();
});

async function openSession() {
  await shown.sdk?.close?.();
  shown.sdk = null;
  const { loader_url: loaderUrl, token_option: tokenOption } = config;
  const loaded = await loadClientSDK({ tokenSource, loaderUrl, tokenOption });
  Object.assign(shown, { sdk: loaded.sdk, token: loaded.token });
  shown.session = "Loaded. Your design session is open.";
}

async function lookAtSession() {
  const { sdk } = shown;
  const state = await sdk?.state?.().catch(() => "live");
  // Meanwhile it may have been loaded again, or closed by the person.
  if (!sdk || sdk !== shown.sdk || state === undefined || state === "live") return;
  Object.assign(shown, { sdk: null, session: OVER[state] ?? `The session is over: ${state}.` });
  render();
}

async function signOut() {
  const { sdk } = shown;
  Object.assign(shown, { user: null, token: null, error: null, sdk: null, session: NOT_LOADED });
  Object.assign(shown, IDLE, { status: "Signing out …" });
  render();
  // Whoever signs out is signed out here, whether or not the others could be told.
  await Promise.allSettled([sdk?.close?.(), tokenSource.forget()]);
  await manager.removeUser();
  shown.status = "";
  render();
  element("sign-in").focus();
}

/** @type {Record<string, () => Promise<unknown>>} */
const BUTTONS = {
  "sign-in": signIn,
  "try-again": () => (shown.error?.slug === "signed-out" ? signIn() : getToken()),
  load: () => act("Loading the Client SDK …", openSession),
  replace: () => act("Getting another token …", async () => {
    shown.token = await tokenSource.replaceToken(shown.token?.jti ?? "");
    if (shown.sdk) await openSession();
  }),
  "sign-out": signOut,
};
for (const [id, action] of Object.entries(BUTTONS)) element(id).addEventListener("click", action);

if (new URLSearchParams(location.search).has("state")) {
  await act("Signing in …", () => manager.signinCallback());
  history.replaceState(null, "", location.pathname);
}
shown.user = await manager.getUser();
render();
setInterval(tick, SECOND);
setInterval(lookAtSession, 2 * SECOND);
if (shown.user && !shown.error) await getToken();
