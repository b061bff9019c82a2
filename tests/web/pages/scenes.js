// Scenes of the helper that run in Node and in every browser engine, over a clock that they turn
// and over what the engine itself has of locks and channels.  Each source stands for one tab.
import { scenes as requests } from "./requests.js";
import {
  ANN, BOB, HOUR, LOADER, MINUTE, SECOND, answer, clock, ended, holdSdk, leap, likeABrowser, loader, lost, never,
  online, outcome, pass, real, refused, same, session, setClock, settle, signIn, sleepFor,
  stage, takeTheClock, turn, until, vended,
} from "./stage.js";

const scenes = {
  // Whose token -------------------------------------------------------------------------------
  async "the next person's page hears nothing of the last one's token after a reload"(scene) {
    scene.script = [vended("anns"), refused("user-not-eligible", 403)];
    const first = scene.open(signIn(), { storage: "session" });
    await first.source.getToken();
    first.source.close();
    const next = scene.open(signIn(BOB), { storage: "session" });
    same(await outcome(next.source.getToken()), "user-not-eligible");
    same(JSON.stringify({ ...sessionStorage }).includes("jwt-anns"), false);
  },
  async "the last person's token is gone before the next one's is asked for"(scene) {
    let before;
    scene.script = [vended("anns"), () => { before = [...tab.tokens]; return refused("user-not-eligible", 403)(); }];
    const tab = scene.open();
    await tab.source.getToken();
    tab.caller = signIn(BOB);
    same(await outcome(tab.source.getToken()), "user-not-eligible");
    same(before, ["anns", null]);
  },
  async "a session of the last person's is over as soon as somebody else is there"(scene, helper) {
    scene.script = [vended("anns"), refused("user-not-eligible", 403)];
    const tab = scene.open();
    const token = await tab.source.getToken();
    const heard = [];
    const onExpiring = ({ token }) => heard.push(["expiring", token?.jwt]);
    const onOver = ({ reason }) => heard.push(reason);
    helper.watchSession({ tokenSource: tab.source, sdk: {}, token, onOver, onExpiring });
    tab.caller = signIn(BOB);
    await outcome(tab.source.getToken());
    await pass(13 * HOUR);
    same(heard, ["signed-out"]);
  },
  async "another tab's token does not reach a person who has signed in here meanwhile"(scene) {
    scene.script = [vended("anns"), vended("anns too"), vended("third")];
    const [one, two] = [scene.open(), scene.open()];
    await two.source.getToken();
    two.caller = signIn(BOB);
    await one.source.replaceToken("anns");
    await until(() => one.tokens.length === 2);
    await settle();
    same(two.tokens.includes("anns too"), false);
  },
  async "a call that waits for the last person's token fails when somebody else signs in"(scene) {
    scene.script = [refused("aurora-busy", 503, "60"), vended("bobs", { email: BOB.email }), vended("anns")];
    const tab = scene.open();
    const anns = outcome(tab.source.getToken());
    await until(() => tab.waits.length === 1);
    tab.caller = signIn(BOB);
    same([await outcome(tab.source.getToken({ minTtl: 1 })), await anns], ["bobs", "caller-changed"]);
    await pass(2 * MINUTE);
    same(scene.calls.length, 2);
  },
  // Who is the same ---------------------------------------------------------------------------
  async "a renewed sign-in is the same person whatever it leaves out or writes otherwise"(_, helper) {
    const full = { ...ANN, oid: "1", preferred_username: "ann@corp", upn: "ann@corp" };
    const { oid, preferred_username: _name, ...less } = full;
    const renewed = { less, upper: { ...full, email: "Ann@Example.COM " }, upn: { ...full, upn: "a.smith@corp" }, none: { iss: ANN.iss, sub: ANN.sub } };
    for (const [name, claims] of Object.entries(renewed)) {
      const scene = stage(helper);
      scene.script = [vended("first"), vended("second")];
      const tab = scene.open(signIn(full));
      await tab.source.getToken();
      tab.caller = signIn(claims);
      same([name, await outcome(tab.source.getToken())], [name, "first"]);
      tab.caller = signIn(full);
      same([name, await outcome(tab.source.getToken()), oid], [name, "first", "1"]);
    }
  },
  async "who differs in what both have is another person"(_, helper) {
    const ann = { ...ANN, sub: "everybody", oid: "1" };
    const others = [{ ...ann, email: "bob@example.com" }, { ...ann, oid: "2" }, { ...ann, sub: "x" }, { ...ann, iss: "y" }];
    for (const other of others) {
      const scene = stage(helper);
      scene.script = [vended("anns"), vended("others", { email: other.email })];
      const tab = scene.open(signIn(ann));
      await tab.source.getToken();
      tab.caller = signIn(other);
      same(await outcome(tab.source.getToken()), "others");
    }
  },
  async "a wait goes on over a renewal of the sign-in"(scene) {
    scene.script = [refused("aurora-busy", 503, "60"), vended("first")];
    const tab = scene.open(signIn({ ...ANN, oid: "1" }));
    const pending = outcome(tab.source.getToken());
    await until(() => tab.waits.length === 1);
    tab.caller = signIn(ANN);
    await pass(61 * SECOND);
    same(await ended(pending), "first");
  },
  async "a sign-out reaches the tab whose sign-in has other claims"(scene) {
    scene.script = [vended("first"), vended("first"), () => answer("", { status: 204 })];
    const [one, two] = [scene.open(signIn({ ...ANN, oid: "1" })), scene.open(signIn(ANN))];
    await one.source.getToken();
    await two.source.getToken();
    await one.source.forget();
    await until(() => two.tokens.includes(null));
  },
  // One session -------------------------------------------------------------------------------
  async "of loads at once one session stays, and nothing overlaps"(scene, helper) {
    const go = holdSdk();
    scene.script = [vended("first")];
    const { source: tokenSource } = scene.open();
    const load = () => helper.loadClientSDK({ tokenSource, loaderUrl: LOADER });
    const one = outcome(load());
    await until(() => sdkLog.length === 1);
    // It is given up before it has a token, and the first one is not closed by then.
    const two = outcome(load());
    const three = load();
    await settle();
    go();
    same([await one, await two, typeof (await three).sdk], ["AbortError", "AbortError", "object"]);
    const names = sdkLog.map((line) => line.split(" ")[0]);
    same(names, ["load", "loaded", "close", "closed", "load", "loaded"]);
  },
  async "a session that never closes holds up the next one for ten seconds"(scene, helper) {
    globalThis.sdkLog = [];
    scene.script = [vended("first")];
    const { source: tokenSource } = scene.open();
    await helper.loadClientSDK({ tokenSource, loaderUrl: LOADER, close: never });
    const next = helper.loadClientSDK({ tokenSource, loaderUrl: LOADER });
    await pass(9 * SECOND);
    same(sdkLog.length, 2);
    await pass(SECOND);
    await next;
  },
  async "a loader that cannot be had takes the request along"(scene, helper) {
    scene.script = Array(9).fill(lost);
    const { source: tokenSource } = scene.open();
    const load = helper.loadClientSDK({ tokenSource, loaderUrl: loader("throw new Error('gone')") });
    same(await outcome(load), "Error");
    const { length } = scene.calls;
    await pass(20 * SECOND);
    same(scene.calls.length, length);
  },
  async "a load watches its session, and another near its end has another token"(scene, helper) {
    scene.script = [vended("first"), vended("second")];
    const { source: tokenSource } = scene.open(signIn(ANN, 48 * HOUR));
    const overs = [];
    const onOver = ({ reason }) => overs.push(reason);
    const load = () => helper.loadClientSDK({ tokenSource, loaderUrl: LOADER, onOver });
    await load();
    await leap(11 * HOUR + MINUTE);
    same(await outcome(tokenSource.getToken()), "first");
    same((await load()).token.jti, "second");
    await leap(12 * HOUR);
    same(overs, ["expired"]);
  },
  async "the SDK loads with the token there is when no more renewals are allowed"(scene, helper) {
    scene.script = [vended("first"), refused("too-many-renewals", 429, "900"), vended("first", { life: 1800 })];
    const { source: tokenSource } = scene.open();
    await tokenSource.getToken();
    await leap(11 * HOUR + 30 * MINUTE);
    const { token } = await helper.loadClientSDK({ tokenSource, loaderUrl: LOADER });
    same([token.jti, scene.calls.length], ["first", 3]);
  },
  async "an SDK that loads for nobody is closed"(scene, helper) {
    const go = holdSdk();
    scene.script = [vended("first")];
    const { source: tokenSource } = scene.open();
    const controller = new AbortController();
    const load = outcome(helper.loadClientSDK({ tokenSource, loaderUrl: LOADER, signal: controller.signal }));
    await until(() => sdkLog.length === 1);
    controller.abort();
    go();
    same(await load, "AbortError");
    await until(() => sdkLog.includes("closed jwt-first"));
  },
  // The life of a session -------------------------------------------------------------------------
  async "a long day loses no session without a word and costs no second request"(scene, helper) {
    scene.script = [vended("first")];
    const tab = scene.open();
    const { heard } = await session(helper, tab);
    await leap(11 * HOUR - MINUTE);
    same(heard, []);
    await leap(2 * MINUTE);
    same([heard, await outcome(tab.source.getToken())], [["ends in 3540 s"], "first"]);
    await leap(HOUR);
    same([heard, scene.calls.length], [["ends in 3540 s", "expired"], 1]);
  },
  async "who sleeps through the end hears of it at once, and of nothing else"(scene, helper) {
    scene.script = [vended("first")];
    const { heard } = await session(helper, scene.open());
    await sleepFor(13 * HOUR);
    same(heard, ["expired"]);
  },
  async "a short life is told of in its last quarter"(scene, helper) {
    scene.script = [vended("first", { life: 1200 })];
    const { heard } = await session(helper, scene.open());
    await leap(890 * SECOND);
    same(heard, []);
    await leap(20 * SECOND);
    same(heard, ["ends in 290 s"]);
  },
  async "the SDK's events end a session for the reason that there is"(_, helper) {
    for (const bus of ["gives a function", "has an off"]) {
      const scene = stage(helper);
      scene.script = [vended("first"), vended("second")];
      const tab = scene.open();
      const one = await session(helper, tab, { bus });
      one.handlers.get("session.ended")({ by: "another device" });
      same([one.heard, one.handlers.size], [[["taken-over", { by: "another device" }]], 0]);
      const two = await session(helper, tab, { bus, endEvents: ["bye"] });
      await tab.source.replaceToken("first");
      two.handlers.get("bye")();
      const three = await session(helper, tab, { bus });
      await leap(12 * HOUR - 30 * SECOND);
      three.handlers.get("session.expired")();
      same([two.heard, three.heard.at(-1)], [["replaced"], "expired"]);
    }
  },
  async "without a bus the clock tells, and a session that the page closed is not over"(_, helper) {
    for (const bus of ["none", "throws"]) {
      const scene = stage(helper);
      scene.script = [vended("first")];
      const tab = scene.open();
      const [open, closed] = [await session(helper, tab, { bus }), await session(helper, tab, { bus })];
      closed.stop();
      await leap(12 * HOUR + SECOND);
      same([open.heard, closed.heard], [["expired"], []]);
    }
  },
  async "a session that is open in another tab is left alone until it is closed"(scene, helper) {
    scene.script = [vended("first"), vended("second")];
    const [one, two] = [scene.open(), scene.open()];
    const { stop } = await session(helper, one);
    await settle();
    same(await outcome(two.source.getToken()), "second");
    await leap(11 * HOUR + MINUTE);
    same([await outcome(two.source.getToken()), scene.calls.length], ["second", 2]);
    stop();
    await settle();
    scene.script = [vended("third")];
    same(await outcome(two.source.getToken()), "third");
  },
  async "a page renews when it says so, over an open session too"(scene, helper) {
    scene.script = [vended("first"), vended("second")];
    const tab = scene.open();
    await session(helper, tab);
    same(await outcome(tab.source.renew()), "first");
    await leap(11 * HOUR + MINUTE);
    same([await outcome(tab.source.getToken()), await outcome(tab.source.renew())], ["first", "second"]);
    same(scene.requests.map(({ body }) => body), ["{}", '{"min_ttl":3660}']);
  },
  async "a page out of the back/forward cache looks who is there"(_, helper) {
    for (const [caller, heard, signOuts] of [[null, ["signed-out"], 1], [signIn(BOB), ["signed-out"], 0], [signIn(), [], 0]]) {
      const scene = stage(helper);
      scene.script = [vended("first")];
      const tab = scene.open(signIn(), { storage: "session" });
      const open = await session(helper, tab);
      tab.caller = caller;
      globalThis.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
      await settle();
      same([open.heard, tab.signOuts, tab.tokens.length], [heard, signOuts, heard.length + 1]);
      same(JSON.stringify({ ...sessionStorage }).includes("jwt-first"), heard.length === 0);
      tab.source.close();
      sessionStorage.clear();
    }
  },
  // Other tabs --------------------------------------------------------------------------------
  async "tabs that wait for another's request have its token without a timer"(scene) {
    const go = scene.hold(vended("first"));
    scene.script.push(vended("second"));
    const tabs = Array.from({ length: 12 }, () => scene.open());
    const all = Promise.all(tabs.map(({ source }) => outcome(source.getToken())));
    await until(() => scene.calls.length === 1);
    // Fourteen seconds are a slow answer, but an answer.
    await pass(14 * SECOND);
    go();
    same([...new Set(await all)], ["first"]);
    same(scene.calls.length, 1);
  },
  // No answer ---------------------------------------------------------------------------------
  async "a body that breaks off is asked for again"(_, helper) {
    const broken = () => new Response(new ReadableStream({
      pull(stream) { stream.error(new TypeError("network")); },
    }));
    const short = () => answer('{"token"');
    for (const cut of [broken, short]) {
      const scene = stage(helper);
      scene.script = [cut, vended("first")];
      const tab = scene.open();
      const pending = outcome(tab.source.getToken());
      await pass(5 * SECOND);
      same(await ended(pending), "first");
    }
  },
  async "a body that hangs is asked for again"(scene) {
    scene.script = [() => new Response(new ReadableStream({})), vended("first")];
    const tab = scene.open();
    const pending = outcome(tab.source.getToken());
    await pass(41 * SECOND);
    same(await ended(pending), "first");
  },
  async "who is offline waits until the network is back"(scene) {
    const tab = scene.open();
    online(false);
    const pending = outcome(tab.source.getToken());
    while (!(tab.waits.at(-1)?.until - Date.now() > 10 * SECOND)) await pass(SECOND);
    scene.script = [vended("first")];
    online(true);
    const back = clock.monotonic;
    same([await ended(pending), clock.monotonic - back < 5 * SECOND], ["first", true]);
  },
  async "a network that comes and goes uses nothing up and is not hammered"(scene) {
    const tab = scene.open();
    online(false);
    const pending = outcome(tab.source.getToken());
    for (let flap = 0; flap < 10; flap += 1) {
      online(true);
      await pass(50);
      online(false);
    }
    same(scene.calls.length < 4, true);
    scene.script = [vended("first")];
    await pass(30 * SECOND);
    online(true);
    await pass(2 * SECOND);
    same(await ended(pending), "first");
  },
  async "a service that has answered is waited for as long as the page has patience"(scene) {
    const tab = scene.open();
    scene.script = [vended("first"), ...Array(8).fill(lost), vended("second")];
    await tab.source.getToken();
    const pending = outcome(tab.source.replaceToken("first"));
    await pass(4 * MINUTE);
    same(await ended(pending), "second");
  },
  async "a service that is down is asked less and less often"(scene) {
    const tab = scene.open();
    scene.script = [vended("first")];
    await tab.source.getToken();
    tab.source.replaceToken("first").catch(() => {});
    await pass(MINUTE);
    same([scene.calls.length > 3, scene.calls.length < 9], [true, true]);
    tab.source.close();
  },
  async "a clock that is an hour fast and one failed call sign nobody out"(scene) {
    setClock(HOUR);
    const tab = scene.open(signIn(ANN, 30 * MINUTE));
    scene.reachable = true;
    scene.script = [lost, vended("first")];
    const pending = outcome(tab.source.getToken());
    await pass(5 * SECOND);
    same([await ended(pending), tab.signOuts], ["first", 0]);
  },
  async "an outage signs nobody out whatever the clock says"(scene) {
    setClock(HOUR);
    const tab = scene.open(signIn(ANN, 30 * MINUTE), { patience: 60 });
    scene.script = Array(40).fill(lost);
    const pending = outcome(tab.source.getToken());
    await pass(2 * MINUTE);
    same([await ended(pending), tab.signOuts], ["unreachable", 0]);
  },
  async "who is refused behind the browser's back and has an old sign-in is signed out"(scene) {
    const tab = scene.open(signIn(ANN, -MINUTE));
    scene.reachable = true;
    scene.script = Array(9).fill(lost);
    const pending = outcome(tab.source.getToken());
    await pass(10 * SECOND);
    same([await ended(pending), tab.signOuts], ["signed-out", 1]);
  },
  // Ending a call ------------------------------------------------------------------------------
  async "one caller leaves and the other is served"(scene) {
    const go = scene.hold(vended("first"));
    const { source } = scene.open();
    const controller = new AbortController();
    const [one, two] = [outcome(source.getToken({ signal: controller.signal })), outcome(source.getToken())];
    await until(() => scene.calls.length === 1);
    controller.abort();
    same([await one, scene.requests[0].signal.aborted], ["AbortError", false]);
    go();
    same([await two, scene.calls.length], ["first", 1]);
  },
  async "the last caller takes the request along"(scene) {
    const go = scene.hold(vended("first"));
    scene.script.push(vended("second"));
    const { source } = scene.open();
    const controller = new AbortController();
    const pending = outcome(source.getToken({ signal: controller.signal }));
    await until(() => scene.calls.length === 1);
    controller.abort(new RangeError("enough"));
    same([await ended(pending), scene.requests[0].signal.aborted], ["RangeError", true]);
    go();
    same(await outcome(source.getToken()), "second");
  },
  async "a call whose signal is aborted already does nothing"(scene, helper) {
    scene.script = [vended("first")];
    const tab = scene.open();
    const { source } = tab;
    await source.getToken();
    const signal = AbortSignal.abort();
    const calls = [
      () => source.getToken({ signal }),
      () => source.renew({ signal }),
      () => source.replaceToken("first", { signal }),
      () => source.forget({ signal }),
      () => helper.loadClientSDK({ tokenSource: source, loaderUrl: LOADER, signal }),
    ];
    for (const call of calls) same([String(call), await outcome(call())], [String(call), "AbortError"]);
    same([await outcome(source.getToken()), scene.calls.length, tab.tokens], ["first", 1, ["first"]]);
  },
  async "closing ends what is under way and all that comes"(scene) {
    scene.script = [refused("aurora-busy", 503, "600"), vended("second")];
    const tab = scene.open();
    const pending = outcome(tab.source.getToken());
    await until(() => tab.waits.length === 1);
    tab.source.close();
    same([await ended(pending), await outcome(tab.source.getToken())], ["closed", "closed"]);
    await leap(13 * HOUR);
    same([scene.calls.length, tab.signOuts], [1, 0]);
  },
  async "a closed page hears nothing of a call that is under way"(scene) {
    scene.script = [vended("first")];
    const tab = scene.open();
    await tab.source.getToken();
    const go = scene.hold(() => answer("{}", { status: 401 }));
    const forgotten = outcome(tab.source.forget());
    await until(() => scene.calls.length === 2);
    tab.source.close();
    go();
    same([await forgotten, tab.signOuts], ["signed-out", 0]);
  },
  async "the time of a wait passes in sleep"(scene) {
    scene.script = [refused("aurora-busy", 503, "600"), vended("first")];
    const tab = scene.open();
    const pending = outcome(tab.source.getToken());
    await until(() => tab.waits.length === 1);
    clock.wall += 11 * MINUTE;
    await pass(SECOND);
    same(await ended(pending), "first");
  },
  async "endless patience is no busy loop"(scene) {
    // A timer takes no more than 24 days, and comes at once where it is told to.
    scene.script = [refused("aurora-busy", 503, String(30 * 86_400))];
    const { source } = scene.open(signIn(), { patience: Infinity });
    source.getToken().catch(() => {});
    await pass(SECOND);
    const before = clock.id;
    await pass(MINUTE);
    same([scene.calls.length, clock.id - before < 90], [1, true]);
    source.close();
  },
  // A page's own callbacks ----------------------------------------------------------------------
  async "subscribers are told until they leave"(scene) {
    scene.script = [vended("first"), vended("second")];
    const tab = scene.open();
    const heard = [];
    const leave = tab.source.subscribe({ onToken: ({ jti }) => heard.push(jti) });
    await tab.source.getToken();
    leave();
    await tab.source.replaceToken("first");
    same([heard, tab.tokens], [["first"], ["first", "second"]]);
  },
  async "a callback that throws or rejects harms nothing"(scene) {
    scene.script = [vended("first")];
    const { source } = scene.open();
    const loose = [];
    const hear = ({ reason }) => loose.push(String(reason));
    addEventListener("unhandledrejection", hear);
    source.subscribe({ onToken: () => { throw new Error("a page's own"); } });
    source.subscribe({ onToken: async () => { throw new Error("a page's own"); } });
    same(await outcome(source.getToken()), "first");
    await settle();
    removeEventListener("unhandledrejection", hear);
    same(loose, []);
  },
  // The page's own sign-in ----------------------------------------------------------------------
  async "a token that came is given although the sign-in cannot be asked again"(scene) {
    let asked = 0;
    scene.script = [vended("first")];
    const getCallerToken = () => { if (++asked === 2) throw new Error("once"); return signIn(); };
    const tab = scene.open("", { getCallerToken });
    same([await outcome(tab.source.getToken()), tab.tokens], ["first", ["first"]]);
  },
  async "a sign-out while the page is asked for the sign-in ends the call"(scene) {
    scene.script = Array(2).fill(() => answer("", { status: 204 }));
    const looks = [];
    const { source } = scene.open("", { getCallerToken: () => new Promise((resolve) => { looks.push(resolve); }) });
    const [token, gone] = [outcome(source.getToken()), source.forget()];
    for (const resolve of looks) resolve(signIn());
    await gone;
    same([await token, scene.calls], ["signed-out", ["DELETE"]]);
  },
  async "a sign-in that never answers is told"(scene) {
    const tab = scene.open("", { getCallerToken: never });
    const pending = outcome(tab.source.getToken());
    await pass(3 * MINUTE);
    same(await Promise.race([pending, settle().then(() => "nothing")]), "sign-in-silent");
  },
  async "ten thousand calls put a handful of listeners on their signal"(scene) {
    scene.script = [vended("first")];
    const tab = scene.open();
    const { signal } = new AbortController();
    let listeners = 0;
    signal.addEventListener = (...args) => { listeners += 1; return AbortSignal.prototype.addEventListener.apply(signal, args); };
    const all = Array.from({ length: 10_000 }, () => tab.source.getToken({ signal }));
    await Promise.all(all);
    same(listeners < 10, true);
  },
  // What stands around it ---------------------------------------------------------------------------
  async "cookies and headers go along where the page says so, and an address may be a URL"(scene) {
    scene.script = [vended("first")];
    const endpoint = new URL("https://own.example.com/token");
    const tab = scene.open(signIn(), { endpoint, credentials: "include", headers: { "x-csrf": "1" } });
    same(await tab.source.tokenProvider(), "jwt-first");
    const [{ url, credentials, headers }] = scene.requests;
    same([url, credentials, headers["x-csrf"]], [String(endpoint), "include", "1"]);
    same(headers.authorization.startsWith("Bearer e30."), true);
  },
  async "sources of one's own give what they are told, and load the SDK too"(_, helper) {
    globalThis.sdkLog = [];
    const literal = helper.literalTokenSource("jwt-literal");
    same([await literal.tokenProvider(), (await literal.getToken()).expiresIn], ["jwt-literal", 43_200]);
    const wishes = [];
    const custom = helper.customTokenSource(async (wish) => { wishes.push(wish.replaced); return "jwt-own"; });
    await custom.replaceToken("failed");
    const { close } = await helper.loadClientSDK({ tokenSource: custom, loaderUrl: LOADER });
    await close();
    same([wishes, sdkLog.at(-1)], [["failed", null], "closed jwt-own"]);
  },
  async "the hooks' state tells loading, waiting, ready, failed and signed out"(scene, helper) {
    scene.script = [refused("aurora-busy", 503, "5"), vended("first"), refused("user-not-eligible", 403)];
    const tab = scene.open();
    const store = helper.tokenStore(tab.source);
    const seen = [store.get().status];
    const leave = store.subscribe(() => seen.at(-1) !== store.get().status && seen.push(store.get().status));
    await pass(6 * SECOND);
    await tab.source.forget().catch(() => {});
    await settle();
    same(seen, ["loading", "waiting", "ready", "signed-out"]);
    leave();
    await pass(SECOND);
    const other = helper.tokenStore(stage(helper).open("opaque").source);
    other.subscribe(() => {});
    await until(() => other.get().status === "failed");
  },
  async "a hook that restarts ignores the call that it gave up"(scene, helper) {
    const go = scene.hold(vended("first"));
    scene.script.push(vended("second"));
    const store = helper.tokenStore(scene.open().source);
    const seen = [];
    store.subscribe(() => seen.push(store.get().status));
    await until(() => scene.calls.length === 1);
    store.restart();
    go();
    await until(() => store.get().status === "ready");
    same([store.get().token.jti, [...new Set(seen)]], ["second", ["loading", "ready"]]);
  },
  async "components that reload twice and leave on the way leave no session open"(scene, helper) {
    globalThis.sdkLog = [];
    scene.script = [vended("first")];
    const { source } = scene.open();
    const store = helper.sdkStore(source, () => ({ loaderUrl: LOADER }));
    const leave = store.subscribe(() => {});
    await until(() => store.get().status === "ready");
    store.restart();
    await turn();
    store.restart();
    leave();
    await pass(SECOND);
    await until(() => sdkLog.filter((line) => line.startsWith("loaded")).length === sdkLog.filter((line) => line.startsWith("closed")).length);
    let open = 0;
    for (const line of sdkLog) {
      if (line.startsWith("load ")) same(++open, 1);
      if (line.startsWith("closed ")) open -= 1;
    }
    same([open, store.get().status], [0, "loading"]);
  },
  // What people read ------------------------------------------------------------------------------
  async "every problem has a title and a sentence for people"(_, helper) {
    for (const slug of Object.keys(helper.PROBLEMS)) {
      const { title, message } = new helper.TokenError(slug);
      same([slug, /^[A-Z].* .*[^.]$/.test(title), /^[A-Z].*\.$/.test(message)], [slug, true, true]);
    }
    for (const slug of ["signed-out", "unreachable", "unexpected-answer", "caller-changed", "closed"]) {
      same([slug, new helper.TokenError(slug).message === slug], [slug, false]);
    }
  },
  async "who has no token is not told to keep the one there is"(scene) {
    const detail = "Keep using the token that you have, or try again later.";
    const body = { type: "urn:problem:aurora-token-vendor:too-many-renewals", title: "Too many", detail };
    scene.script = [() => answer(JSON.stringify(body), { status: 429 })];
    const tab = scene.open();
    const error = await tab.source.getToken().catch((error) => error);
    same([error.slug, error.message.includes("Keep using")], ["too-many-renewals", false]);
  },
  async "who is offline reads of the network, not of a turn"(scene, helper) {
    const tab = scene.open();
    online(false);
    tab.source.getToken().catch(() => {});
    await pass(SECOND);
    same(tab.waits.map(({ error }) => error?.title), ["The service cannot be reached"]);
    online(true);
  },
};

/** Run them all, and give what each of them said: nothing, or what was wrong. */
export async function run(...modules) {
  const helper = Object.assign({}, ...modules);
  if (typeof addEventListener !== "function") likeABrowser();
  takeTheClock();
  const said = {};
  for (const [name, scene] of Object.entries({ ...requests, ...scenes })) {
    clock.timers.clear();
    setClock(0);
    online(true);
    const limit = new Promise((resolve) => real.setTimeout(() => resolve("it hangs"), 120_000));
    said[name] = await Promise.race([limit, scene(stage(helper), helper).then(() => "", String)]);
    sessionStorage.clear();
  }
  return said;
}
