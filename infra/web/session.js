// What the demo page does: sign-in, the token by way of aurora-token.js, and the Client SDK.

import { createTokenSource } from "./aurora-token.js";
import { loadClientSDK } from "./sdk.js";
import { NOT_LOADED, SECOND, element, focusOn, keepFocus, render, reset, shown, tick } from "./page.js";
import { forgetAll, happened, recall, tokensSeen, watchedFetch } from "./timeline.js";

/** @type {typeof import("oidc-client-ts")} */
const oidc = /** @type {any} */ (globalThis).oidc;
const HOUR = 3600;
// The same words whether this page first hears of the token, or of the session that it ended.
const ANOTHER_TOKEN = "You have another token since: continue here, and your design opens with it.";
const IDLE = { busy: false, turn: null, status: "" };

// What the stand-in SDK says of a session that is over; the real one's events are not published.
/** @type {Record<string, string>} */
const OVER = {
  "another session was opened":
    "Your design session was opened somewhere else. Aurora allows one at a time.",
  "another token was generated": ANOTHER_TOKEN,
  "a newer token was loaded": "Aurora closed this design session: a newer token is in use.",
  expired: "This design session has run out.",
};

/** @type {Record<string, string>} */
const SCENES = {
  queue: "You made a queue",
  outage: "You made an outage",
  takeover: "You opened your design elsewhere",
};

const config = await readConfig();
const manager = new oidc.UserManager({
  authority: config.issuer,
  client_id: config.client_id,
  redirect_uri: location.origin + location.pathname,
  scope: "openid profile email",
});
const tokenSource = createTokenSource({
  endpoint: config.token_url,
  getCallerToken: async () => (await manager.getUser())?.id_token,
  onWaiting({ until, error }) {
    waitFor(until, error);
  },
  fetch: watchedFetch,
  onToken(token) {
    if (shown.token && !token) shown.status = "Your token was dropped.";
    if (token && !tokensSeen.has(token.jti)) {
      tokensSeen.add(token.jti);
      happened({ what: "Another tab brought your token", how: "no request", kind: "stored" });
    }
    // A session that is over is not told of as if the token were the old one.
    const isAnother = token && shown.token && token.jti !== shown.token.jti;
    if (isAnother && !shown.sdk && shown.session !== NOT_LOADED) shown.session = ANOTHER_TOKEN;
    shown.token = token;
    render();
  },
});
// Each tab has its own sign-in, so the helper's word that the token is gone does not reach them all.
const signOuts = new BroadcastChannel(`demo-page sign-out ${location.pathname}`);

/** @param {Date} until @param {import("./aurora-token.js").TokenError} problem */
function waitFor(until, { slug, title }) {
  const since = shown.turn?.since ?? new Date();
  const status = `${title}.`;
  const focused = document.activeElement;
  Object.assign(shown, { turn: { since, until, slug }, error: null, status });
  render();
  if (focused !== document.body) keepFocus();
}

async function readConfig() {
  const answer = await fetch("config.json");
  const config = await answer.json();
  for (const name of ["issuer", "client_id", "token_url"]) {
    if (!config[name]) throw new Error(`config.json lacks ${name}.`);
  }
  return config;
}

/**
 * Carry out what a button says, one at a time: buttons keep the focus, so they are not disabled.
 * @param {string} status @param {() => Promise<string | void>} action gives what to say at the end
 */
async function act(status, action) {
  if (shown.busy) return;
  const { user } = shown;
  const focused = document.activeElement;
  let end = "";
  /** @type {unknown} */
  let error = null;
  Object.assign(shown, { busy: true, status });
  render();
  try {
    end = (await action()) ?? "";
  } catch (thrown) {
    error = thrown;
  }
  // A person who signed out meanwhile is not told how it ended.
  if (shown.user !== user) return;
  Object.assign(shown, IDLE, { error, ways: waysOut(error), status: end });
  render();
  if (error) focusOn("problem");
  else if (focused !== document.body) keepFocus();
}

/** @param {any} error @returns {(() => unknown)[]} */
function waysOut(error) {
  switch (error?.slug) {
    case "signed-out":
    case "sign-in-denied":
    case "sign-in-stale":
    case "sign-in-failed":
      return [signIn];
    case "caller-not-identified":
      return [signInAnew];
    case "user-not-eligible":
      return [signInAnew, getToken];
    case "sdk-unreachable":
    case "sdk-not-loaded":
      return [load];
    case "sign-out-at-the-limit":
      return [stay, leave];
    default:
      return [getToken];
  }
}

/** @param {{ prompt?: string }} [options] */
const signIn = (options = {}) => act("Going to the sign-in page …", async () => {
  try {
    await manager.signinRedirect(options);
  } catch (cause) {
    throw Object.assign(new Error("no sign-in", { cause }), { slug: "sign-in-failed" });
  }
});

/** Let the person choose who to be, or come back with an address that is verified by now. */
const signInAnew = () => signIn({ prompt: "login" });

async function finishSignIn() {
  try {
    await manager.signinCallback();
  } catch (/** @type {any} */ cause) {
    // The address of an earlier sign-in, as after going back: that one holds.
    if (await manager.getUser()) return;
    // What has an `error` was said by the provider; a TypeError, by the network.
    const refused = cause.error === "access_denied" ? "sign-in-denied" : "sign-in-failed";
    const slug = cause.error || cause instanceof TypeError ? refused : "sign-in-stale";
    throw Object.assign(new Error(cause.message), { slug });
  } finally {
    history.replaceState(null, "", location.pathname);
  }
}

/** @param {string} done */
const getTokenAnd = (done) => act("Getting your token …", async () => {
  shown.token = await getTokenWithinTheLimit();
  return done;
});
const getToken = () => getTokenAnd("Your token is ready.");

/** Get a token, if need be when the hour is over: there is nothing else that a person could do. */
async function getTokenWithinTheLimit() {
  const { user } = shown;
  for (;;) {
    try {
      return await tokenSource.getToken();
    } catch (/** @type {any} */ error) {
      const { slug, retryAfter } = error;
      if (slug !== "too-many-renewals" || !retryAfter || shown.user !== user) throw error;
      const until = new Date(Date.now() + retryAfter * SECOND);
      waitFor(until, error);
      while (Date.now() < until.getTime()) await new Promise((done) => setTimeout(done, SECOND));
    }
    if (shown.user !== user) throw new Error("Somebody signed out.");
  }
}

const replace = () => act("Getting another token …", async () => {
  const failed = shown.token?.jti ?? "";
  try {
    shown.token = await tokenSource.replaceToken(failed);
  } catch (/** @type {any} */ error) {
    if (error.slug !== "too-many-renewals") throw error;
    shown.kept = { jti: failed, until: new Date(Date.now() + (error.retryAfter ?? HOUR) * SECOND) };
    focusOn("replace-note");
    return "Your token stays as it is: it was replaced as often as an hour allows.";
  }
  shown.kept = { jti: shown.token.jti };
  if (shown.sdk) await openSession();
  return "You have another token.";
});

const load = () => act("Loading the Client SDK …", async () => {
  await openSession();
  return "The Client SDK is loaded.";
});

async function openSession() {
  const { length } = shown.happenings;
  Object.assign(shown, { sdk: null, kept: shown.kept?.until ? shown.kept : null });
  // It is hidden until something is in it, and an SDK may want to know its size.
  element("cad-element").replaceChildren();
  element("cad-element").hidden = false;
  const { loader_url: loaderUrl, token_option: tokenOption } = config;
  try {
    const loaded = await loadClientSDK({ tokenSource, loaderUrl, tokenOption });
    Object.assign(shown, { sdk: loaded.sdk, token: loaded.token });
    const had = shown.happenings.length === length;
    happened(had ? { what: "Design opened with the token of this tab", how: "no request", kind: "stored" } : { what: "Design opened" });
  } catch (/** @type {any} */ error) {
    if (error.slug) throw error;
    const slug = error instanceof TypeError ? "sdk-unreachable" : "sdk-not-loaded";
    throw Object.assign(new Error(error.message), { slug });
  }
  shown.session = "Loaded. Your design session is open.";
}

/**
 * Make something happen at the stand-in of Aurora; the page's own server carries it out.
 * @param {string} name @param {string} status @param {() => unknown} then what shows it
 */
async function scene(name, status, then) {
  await act(status, async () => {
    const body = JSON.stringify({ jwt: shown.token?.jwt });
    const answer = await fetch(`scenes/${name}`, { method: "POST", body });
    if (!answer.ok) throw new Error("The stand-in of Aurora did not take it.");
    happened({ what: SCENES[name] ?? name, kind: "scene" });
  });
  if (!shown.error) await then();
}

async function lookAtSession() {
  const { sdk } = shown;
  const state = await sdk?.state?.().catch(() => "live");
  // Meanwhile it may have been loaded again, or closed by the person.
  if (!sdk || sdk !== shown.sdk || state === undefined || state === "live") return;
  const status = "Your design session is over.";
  Object.assign(shown, { sdk: null, status, session: OVER[state] ?? `It is over: ${state}.` });
  happened({ what: "Design session over", how: state, kind: "waits" });
}

function stay() {
  Object.assign(shown, { error: null, ways: [] });
  render();
  keepFocus();
}

/** Sign out, unless that would keep the person out for up to an hour: then they are asked. */
function signOut() {
  const isLimited = shown.kept?.until || shown.turn?.slug === "too-many-renewals";
  if (!isLimited || shown.error?.slug === "sign-out-at-the-limit") {
    void leave();
    return;
  }
  const error = Object.assign(new Error(), { slug: "sign-out-at-the-limit" });
  Object.assign(shown, { error, ways: waysOut(error) });
  render();
  focusOn("problem");
}

async function leave() {
  const { sdk, user } = shown;
  forgetAll();
  reset("Signing out …");
  render();
  focusOn("sign-in");
  signOuts.postMessage(user?.profile.sub);
  // The person is signed out here, whether or not the others could be told.
  await Promise.allSettled([sdk?.close?.(), tokenSource.forget()]);
  await manager.removeUser();
  // What the sign-out itself had to say goes too.
  forgetAll();
  if (shown.user) return;
  shown.status = "You are signed out.";
  render();
}

signOuts.addEventListener("message", async ({ data }) => {
  if (!shown.user || shown.user.profile.sub !== data) return;
  const { sdk } = shown;
  forgetAll();
  reset("You signed out in another tab.");
  render();
  keepFocus();
  await Promise.allSettled([sdk?.close?.(), manager.removeUser()]);
});

/** @type {Record<string, () => unknown>} */
const BUTTONS = {
  "sign-in": () => signIn(),
  "way-out": () => shown.ways[0]?.(),
  "other-way-out": () => shown.ways[1]?.(),
  load,
  replace,
  "sign-out": signOut,
  "scene-queue": () => scene("queue", "Making a queue …", replace),
  "scene-outage": () => scene("outage", "Making an outage …", replace),
  "scene-takeover": () => scene("takeover", "Opening your design elsewhere …", lookAtSession),
};
for (const [id, action] of Object.entries(BUTTONS)) element(id).addEventListener("click", action);

Object.assign(shown, { busy: false, standIn: config.stand_in === true });
recall();
const comesBack = new URLSearchParams(location.search).has("state");
if (comesBack) await act("Signing in …", finishSignIn);
shown.user = await manager.getUser();
shown.arriving = false;
render();
setInterval(tick, SECOND);
setInterval(lookAtSession, 2 * SECOND);
if (shown.user && !shown.error) {
  if (comesBack) focusOn("who");
  await getTokenAnd(comesBack ? "You are signed in, and your token is ready." : "");
}
