// What the demo page shows, and the words for it.

/** @typedef {{ state?: () => Promise<string>, close?: () => Promise<unknown> }} SDK */
/** @typedef {{ since: Date, until: Date, slug: string }} Turn */
/** @typedef {{ jti: string, until?: Date }} Kept */

export const SECOND = 1000;
export const NOT_LOADED = "Not loaded.";

/** Of what the helper says, only what this page puts in plainer words; the rest is its own. @type {Record<string, string[]>} */
const OWN_WORDS = {
  "caller-not-identified": [
    "Your e-mail address is not verified yet",
    "Aurora knows people by their address. Verify yours where you sign in, or sign in with another account.",
  ],
  "sign-in-denied": [
    "You are not signed in",
    "Signing in was stopped at the sign-in page. You can sign in whenever you like.",
  ],
  "sign-in-stale": [
    "That sign-in is no longer good",
    "Its address was used before, or belongs to another tab. Sign in once more.",
  ],
  "sign-in-failed": ["Signing in did not work", "The sign-in page did not answer as expected."],
  "sdk-unreachable": [
    "The Client SDK did not load",
    "Its files could not be fetched. Check the network, then try again.",
  ],
  "sdk-not-loaded": ["No design session", ""],
  "sign-out-at-the-limit": [
    "You could not come back for a while",
    "Your token was replaced as often as an hour allows. Once you sign out, you get no other until the hour is over.",
  ],
  "not-set-up": [
    "This page could not start",
    "It needs a config.json beside it that names the issuer, the client id and the address of " +
      "/token. Ask the people who run it; the browser's console says more.",
  ],
};
const BLAME_THE_TOKEN = "If that is the token's fault, “This token failed me” gets another.";
// A page that asks Aurora by itself lists the users and generates, each time.
const CALLS_EACH = 2;
// The labels of the ways out; session.js says what they do.
/** @type {Record<string, string[]>} */
const WAYS = {
  "signed-out": ["Sign in again"],
  "sign-in-denied": ["Sign in"],
  "sign-in-stale": ["Sign in"],
  "sign-in-failed": ["Sign in"],
  // The same sign-in says the same of the address, however often it is asked.
  "caller-not-identified": ["Sign in again"],
  "user-not-eligible": ["Sign in as somebody else", "Try again"],
  "invitation-pending": ["I have accepted it"],
  "not-set-up": ["Load the page again"],
  "sign-out-at-the-limit": ["Stay signed in", "Sign out nevertheless"],
};

// Only a queue has turns; what is down is tried again.
const DOWN = ["Waiting for Aurora", "Trying again in", "This page tries again by itself"];
/** @type {Record<string, string[]>} */
const WAITS = {
  unreachable: ["No connection", "Trying again in", "This page goes on as soon as the network is back, or"],
  "aurora-busy": [
    "You are in the queue",
    "Your turn comes in",
    "You keep your place: this page asks again by itself",
  ],
  "too-many-renewals": [
    "You have had as many tokens as an hour allows",
    "The next is yours in",
    "Leave this page open, and it gets your token by itself",
  ],
};

export const shown = {
  /** @type {import("oidc-client-ts").User | null} */
  user: null,
  /** @type {import("./aurora-token.js").AccessToken | null} */
  token: null,
  /** @type {any} */
  error: null,
  /** @type {(() => unknown)[]} */
  ways: [],
  /** @type {SDK | null} */
  sdk: null,
  /** @type {Turn | null} */
  turn: null,
  // Which token is not to be replaced: one that is new and untried, or, until a time, any.
  /** @type {Kept | null} */
  kept: null,
  session: NOT_LOADED,
  status: "",
  standIn: false,
  /** What happened, the latest last. @type {import("./timeline.js").Happening[]} */
  happenings: [],
  // Until it is known whether somebody is signed in.
  arriving: true,
  busy: true,
};

/** Back to how the page is with nobody signed in. @param {string} [status] */
export function reset(status = "") {
  Object.assign(shown, { user: null, token: null, error: null, ways: [], sdk: null, turn: null });
  Object.assign(shown, { kept: null, session: NOT_LOADED, status, busy: false });
}

/** @param {string} id @returns {any} */
export const element = (id) => document.getElementById(id);

/** @param {string} id */
export function focusOn(id) {
  element(id).focus();
}

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

/** @param {Date} time */
const clock = (time) => time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function render() {
  const { user, token, error, sdk, turn, busy, session } = shown;
  const visible = {
    who: user,
    "sign-out": user,
    welcome: !user && !error && !shown.arriving,
    problem: error,
    token: user && token,
    sdk: user && token,
    scenes: user && token && shown.standIn,
    timeline: user && shown.happenings.length,
    "stand-in": shown.standIn,
    "cad-element": sdk,
    queue: turn,
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
  write({ "sdk-state": session, load: sdk ? "Load it again" : "Load the Client SDK" });
  if (!sdk && session !== NOT_LOADED) write({ load: "Continue here" });
  // What is done already is offered quietly.
  element("load").classList.toggle("quiet", sdk !== null || error !== null);
  if (error) describe(error);
  if (turn) describeTurn(turn);
  renderTimeline();
  element("queue").closest("main").ariaBusy = String(busy);
  for (const button of document.querySelectorAll("main button")) {
    /** @type {any} */ (button).ariaDisabled = busy ? "true" : null;
  }
  tick();
}

function renderTimeline() {
  const { happenings } = shown;
  const [generated, without] = ["generated", "stored"].map((one) => happenings.filter(({ kind }) => kind === one).length);
  const saved = without ? ` It was spared ${without * CALLS_EACH} calls.` : "";
  write({ saved: `Aurora generated ${generated} ${generated === 1 ? "token" : "tokens"}.${saved}` });
  const list = element("events");
  while (list.children.length > happenings.length) list.lastElementChild.remove();
  happenings.toReversed().forEach(({ at, what, how, kind }, index) => {
    const row = list.children[index] ?? list.appendChild(document.createElement("li"));
    const text = `${clock(new Date(at))}|${what}|${how}`;
    if (row.dataset.text === text) return;
    row.dataset.text = text;
    row.className = kind;
    row.replaceChildren(...text.split("|").map((part, place) => {
      const cell = document.createElement(["time", "strong", "span"][place] ?? "span");
      cell.textContent = part;
      return cell;
    }));
  });
}

/** @param {any} error */
function describe(error) {
  const { slug, message, problem, retryAfter } = error;
  const [title, detail] = OWN_WORDS[slug] ?? [error.title ?? "That did not work", message];
  const wait = retryAfter ? ` Possible again in ${Math.ceil(retryAfter / 60)} min.` : "";
  const hint = slug === "sdk-not-loaded" ? ` ${BLAME_THE_TOKEN}` : "";
  const [label = "Try again", other] = WAYS[slug] ?? [];
  write({
    "problem-title": title ?? "",
    "problem-detail": `${detail || message}${hint}${wait}`,
    "problem-raw": problem ? JSON.stringify(problem, null, 2) : "",
    "way-out": label,
    "other-way-out": other ?? "",
  });
  element("problem-answer").hidden = !problem;
  element("other-way-out").hidden = !other;
}

/** @param {Turn} turn */
function describeTurn({ until, slug }) {
  const [title, what, note] = WAITS[slug] ?? DOWN;
  write({
    "queue-title": title ?? "",
    "turn-what": what ?? "",
    "turn-note": `${note} at ${clock(until)}.`,
  });
}

/** Move what moves with time. */
export function tick() {
  const { token, turn, kept } = shown;
  if (token) write({ "token-left": timeTo(token.expiresAt) });
  if (turn) {
    write({ "turn-left": timeTo(turn.until) });
    const length = Math.max(1, turn.until.getTime() - turn.since.getTime());
    const done = Math.min(1, (Date.now() - turn.since.getTime()) / length);
    element("way").style.setProperty("--done", done.toFixed(3));
  }
  if (kept?.until && kept.until.getTime() <= Date.now()) shown.kept = null;
  offerReplacing(token?.jti);
}

/** @param {string} [jti] */
function offerReplacing(jti) {
  const { kept } = shown;
  const offered = !kept || (!kept.until && kept.jti !== jti);
  element("replace").hidden = !offered;
  let note = "Another from Aurora ends your open design session: take it only when this one fails.";
  if (kept?.until) {
    note =
      "Your token was replaced as often as an hour allows; the one above stays in use. " +
      `Possible again at ${clock(kept.until)}, in ${timeTo(kept.until).replace(/ min .*/, " min")}. ` +
      "Stay signed in until then: signing out and in needs another token too.";
  } else if (!offered) {
    note = "This token is new: load the Client SDK with it. If it fails too, you can replace it.";
  }
  write({ "replace-note": note });
}

/** Keep the focus in sight, wherever it was on something that has gone. */
export function keepFocus() {
  const focused = document.activeElement;
  if (focused && focused !== document.body && focused.getClientRects().length > 0) return;
  if (shown.error) focusOn("problem");
  else if (shown.token) focusOn("token-title");
  else focusOn(shown.user ? "who" : "sign-in");
}
