// What the scenes play on: a clock that they turn, scripted answers, and tabs, each a token source.

export const real = { setTimeout: globalThis.setTimeout.bind(globalThis), now: Date.now.bind(Date) };
// Node's timers take a millisecond at the least.
const soon = globalThis.setImmediate ?? ((work) => real.setTimeout(work, 0));
// `skew` is how far the browser's clock is ahead of everybody else's.
export const clock = { wall: Date.UTC(2026, 2, 2, 8), skew: 0, monotonic: 5000, timers: new Map(), id: 0 };
export const [SECOND, MINUTE, HOUR] = [1000, 60_000, 3_600_000];

export function takeTheClock() {
  Date.now = () => clock.wall;
  performance.now = () => clock.monotonic;
  globalThis.clearTimeout = (id) => void clock.timers.delete(id);
  globalThis.setTimeout = (work, after = 0) => {
    clock.timers.set(++clock.id, { work, at: clock.monotonic + Math.max(0, after) });
    return clock.id;
  };
}

export function setClock(skew) {
  clock.wall += skew - clock.skew;
  clock.skew = skew;
}

/** One way to where the engine keeps its locks and back, so that what was granted before is here. */
export const turn = async () => {
  await navigator.locks.query();
  await new Promise((resolve) => soon(resolve));
};
/** Let locks and channels come through, which take turns of the event loop but no time. */
export const settle = async (turns = 12) => { while (turns--) await turn(); };

/** Let time pass, timer by timer. */
export async function pass(milliseconds) {
  const end = clock.monotonic + milliseconds;
  for (;;) {
    await settle(4);
    const [next] = [...clock.timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at);
    const to = next ? Math.max(next[1].at, clock.monotonic) : end;
    clock.wall += to - clock.monotonic;
    clock.monotonic = to;
    if (!next) return;
    clock.timers.delete(next[0]);
    next[1].work();
  }
}

/** Let time pass in which no timer comes, and then those that are due. */
export async function leap(milliseconds) {
  clock.wall += milliseconds;
  clock.monotonic += milliseconds;
  await pass(0);
}

/** Let the machine sleep and wake up: the monotonic clock may stand still meanwhile. */
export async function sleepFor(milliseconds) {
  clock.wall += milliseconds;
  globalThis.dispatchEvent(new Event("pageshow"));
  await settle(4);
}

/** Let time go on until a call ends: on a busy machine, it may not be there when its time is. */
export async function ended(call) {
  const nothing = {};
  for (;;) {
    const said = await Promise.race([call, settle(4).then(() => nothing)]);
    if (said !== nothing) return said;
    await pass(50);
  }
}

export async function until(condition) {
  for (const limit = real.now() + 100_000; !condition(); ) {
    if (real.now() > limit) throw new Error(`never: ${condition}`);
    await turn();
  }
}

export const ANN = { iss: "https://idp.example.com", sub: "ann", email: "ann@example.com" };
export const BOB = { ...ANN, sub: "bob", email: "bob@example.com" };
/** A sign-in token as far as a browser reads it. */
export function signIn(claims = ANN, life = 24 * HOUR) {
  return `e30.${btoa(JSON.stringify({ exp: (clock.wall - clock.skew + life) / SECOND, ...claims }))}.c2ln`;
}

/** An answer whose body need not be read: an engine reads a Response in its own time, not in the scenes'. */
export const answer = (text = "", { status = 200, ...headers } = {}) =>
  ({ ok: status < 300, status, headers: new Headers(headers), text: async () => text });
export const vended = (jti = "first", { life = 43_200, email = ANN.email } = {}) => () => {
  const token = { jwt: `jwt-${jti}`, jti, expires_in: life, expires_at: new Date(clock.wall - clock.skew + life * SECOND) };
  return answer(JSON.stringify({ token, user: { id: "1", email }, source: "stored" }));
};
export const refused = (slug, status, after) => () => {
  const body = { type: `urn:problem:aurora-token-vendor:${slug}`, title: "A title", detail: "A sentence.", status };
  return answer(JSON.stringify(body), after ? { status, "retry-after": after } : { status });
};
export const lost = () => { throw new TypeError("Failed to fetch"); };
export const never = () => new Promise(() => {});

export const outcome = (promise) => promise.then(({ jti }) => jti, (error) => error.slug ?? error.name);
let endpoints = 0;

/** What one scene has: tabs over one endpoint, whose answers it scripts. */
export function stage({ createTokenSource }) {
  const endpoint = `https://${++endpoints}.example.com/token`;
  const scene = { endpoint, calls: [], requests: [], script: [], opened: [] };
  const fetch = async (url, init) => {
    scene.calls.push(init.method ?? "GET");
    scene.requests.push({ url, ...init });
    // A question whether anybody answers at all, see below.
    if (init.mode === "no-cors") return scene.reachable ? new Response() : lost();
    const answer = await (scene.script.shift() ?? lost)(init);
    return init.signal ? whole(answer, init.signal) : answer;
  };
  /** Let the next answer wait until what is returned is called. */
  scene.hold = (answer) => {
    let go;
    const held = new Promise((resolve) => { go = resolve; });
    scene.script.push(() => held.then(answer));
    return go;
  };
  scene.open = (caller = signIn(), options = {}) => {
    const tab = { caller, waits: [], tokens: [], signOuts: 0 };
    tab.source = createTokenSource({
      endpoint, fetch,
      getCallerToken: () => tab.caller,
      onWaiting: (wait) => tab.waits.push(wait),
      onToken: (token) => tab.tokens.push(token && token.jti),
      onSignedOut: () => { tab.signOuts += 1; },
      ...options,
    });
    scene.opened.push(tab.source);
    return tab;
  };
  return scene;
}

/** As the browser's own answers, a body ends with its signal. */
function whole(answer, signal) {
  const text = answer.text.bind(answer);
  const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(new DOMException("", "AbortError"))));
  aborted.catch(() => {});
  return Object.assign(answer, { text: () => Promise.race([text(), aborted]) });
}

/** Open a session on a stand-in of the SDK, and give what the page hears of it. */
export async function session({ watchSession }, tab, { bus = "gives a function", ...options } = {}) {
  const handlers = new Map();
  const on = (name, handler) => {
    handlers.set(name, handler);
    return bus === "gives a function" ? () => handlers.delete(name) : undefined;
  };
  const event = { on: bus === "throws" ? () => { throw new Error("no such event"); } : on, off: (name) => handlers.delete(name) };
  const heard = [];
  const stop = watchSession({
    tokenSource: tab.source,
    sdk: bus === "none" ? {} : { event },
    token: await tab.source.getToken(),
    onExpiring: ({ at }) => heard.push(`ends in ${Math.round((at - clock.wall) / SECOND)} s`),
    onOver: ({ reason, detail }) => heard.push(detail ? [reason, detail] : reason),
    ...options,
  });
  return { heard, stop, handlers };
}

export function same(actual, expected) {
  const [one, other] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (one !== other) throw new Error(`${one}, not ${other}`);
}

export function online(is) {
  Object.defineProperty(navigator, "onLine", { configurable: true, get: () => is });
  if (is) globalThis.dispatchEvent?.(new Event("online"));
}

/** Give an object another property until what is returned is called. */
export function instead(object, name, descriptor) {
  const before = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { configurable: true, ...descriptor });
  return () => (before ? Object.defineProperty(object, name, before) : delete object[name]);
}

/** A loader that writes down what becomes of its sessions. */
export const loader = (text) => `data:text/javascript,${encodeURIComponent(text)}`;
export const LOADER = loader(`
  export async function load({ token }) {
    const log = (globalThis.sdkLog ??= []);
    log.push("load " + token);
    if (globalThis.sdkHeld) await globalThis.sdkHeld;
    log.push("loaded " + token);
    return { close: async () => { log.push("close " + token); await null; log.push("closed " + token); } };
  }
`);

/** Let loads of the SDK wait until what is returned is called. */
export function holdSdk() {
  let go;
  globalThis.sdkLog = [];
  globalThis.sdkHeld = new Promise((resolve) => { go = resolve; });
  return () => {
    globalThis.sdkHeld = undefined;
    go();
  };
}

/** What Node has not. */
export function likeABrowser() {
  const events = new EventTarget();
  for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"]) globalThis[name] = events[name].bind(events);
  const items = {};
  globalThis.sessionStorage = Object.defineProperties(items, {
    getItem: { value: (name) => items[name] ?? null },
    setItem: { value: (name, text) => { items[name] = text; } },
    removeItem: { value: (name) => { delete items[name]; } },
    clear: { value: () => { for (const name of Object.keys(items)) delete items[name]; } },
  });
}
