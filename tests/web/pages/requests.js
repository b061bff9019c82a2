// More scenes: what is asked for and when, what becomes of the answer, and where a token is kept.
import {
  ANN, BOB, HOUR, LOADER, MINUTE, SECOND, answer, clock, ended, instead, leap, loader, lost, outcome, pass, refused,
  same, setClock, settle, signIn, stage, until, vended,
} from "./stage.js";

const LIFE = 43_200;
const json = (body, status = 200) => () => answer(JSON.stringify(body), { status });
const forgotten = () => answer("", { status: 204 });
const failure = (promise) => promise.catch((error) => error);
const stored = () => Object.keys(sessionStorage).length;

// Whether the helper waits for what the service says with Retry-After, and whether it keeps a token
// that the page calls failed.
const PROBLEMS = {
  "aurora-busy": { waits: true, keeps: true },
  "aurora-invalid-response": { waits: true, keeps: true },
  "aurora-key-rejected": { waits: false, keeps: true },
  "aurora-timeout": { waits: true, keeps: true },
  "aurora-unavailable": { waits: true, keeps: true },
  "caller-not-identified": { waits: false, keeps: false },
  "generating-stopped": { waits: true, keeps: true },
  "internal-error": { waits: false, keeps: true },
  "invalid-request": { waits: false, keeps: true },
  "invitation-pending": { waits: false, keeps: false },
  "token-store-unavailable": { waits: true, keeps: true },
  "too-many-renewals": { waits: false, keeps: true },
  "user-not-eligible": { waits: false, keeps: false },
};

export const scenes = {
  // Asking ------------------------------------------------------------------------------------
  async "a token is asked for with the caller's token and nothing else"(scene) {
    scene.script = [vended("first")];
    const tab = scene.open();
    const { jwt, jti, user, source, expiresIn } = await tab.source.getToken();
    same([jwt, jti, user.email, source, expiresIn], ["jwt-first", "first", ANN.email, "stored", LIFE]);
    const [{ method, headers, body, credentials, redirect, cache }] = scene.requests;
    same([method, headers.authorization, body], ["POST", `Bearer ${tab.caller}`, "{}"]);
    same([credentials, redirect, cache], ["omit", "error", "no-store"]);
    same([await outcome(tab.source.getToken()), scene.calls.length], ["first", 1]);
  },
  async "a shared failure reaches every caller and the next call asks again"(scene) {
    scene.script = [refused("user-not-eligible", 403), vended("first")];
    const { source } = scene.open();
    const both = await Promise.all([outcome(source.getToken()), outcome(source.getToken())]);
    same(both, ["user-not-eligible", "user-not-eligible"]);
    same(await outcome(source.getToken()), "first");
  },
  async "min_ttl is sent and the kept token with less does not do"(scene) {
    scene.script = [vended("first"), vended("second")];
    const { source } = scene.open();
    await source.getToken();
    await leap(5 * HOUR);
    same(await outcome(source.getToken({ minTtl: 20_000 })), "first");
    same(await outcome(source.getToken({ minTtl: 30_000 })), "second");
    same(scene.requests.map(({ body }) => body), ["{}", '{"min_ttl":30000}']);
  },
  async "an answer that is not the service's is an error"(scene, helper) {
    const answers = [
      [200, "<p>Welcome to our guest network"],
      [200, '{"token":{}}'],
      [200, "[1]"],
      [404, '{"message":"Not Found"}'],
      [400, '{"type":7}'],
    ];
    for (const [status, text] of answers) {
      const scene = stage(helper);
      scene.script = [() => answer(text, { status }), vended("first")];
      const error = await failure(scene.open().source.getToken());
      same([text, error.slug, error.status, scene.calls.length], [text, "unexpected-answer", status, 1]);
    }
    scene.script = [vended("expired", { life: 0 })];
    same(await outcome(scene.open().source.getToken()), "unexpected-answer");
  },
  // Time --------------------------------------------------------------------------------------
  async "the browser's clock may be wrong"(_, helper) {
    for (const skew of [-24 * HOUR, 0, 24 * HOUR]) {
      setClock(skew);
      const scene = stage(helper);
      scene.script = [vended("first"), vended("second")];
      const { source } = scene.open();
      await source.getToken();
      await leap(11 * HOUR - MINUTE);
      same(await outcome(source.getToken()), "first");
      await leap(2 * MINUTE);
      same(await outcome(source.getToken()), "second");
    }
  },
  async "a clock put back does not lengthen a life"(scene) {
    scene.script = [vended("first"), vended("second")];
    const { source } = scene.open();
    await source.getToken();
    await leap(HOUR);
    setClock(-24 * HOUR);
    await leap(10 * HOUR + MINUTE);
    same(await outcome(source.getToken()), "second");
  },
  async "a clock put forward costs one request"(scene) {
    scene.script = [vended("first"), vended("second")];
    const { source } = scene.open();
    await source.getToken();
    setClock(24 * HOUR);
    same([await outcome(source.getToken()), await outcome(source.getToken())], ["second", "second"]);
    same(scene.calls.length, 2);
  },
  async "the time on the way counts against the token"(scene) {
    const go = scene.hold(vended("first", { life: 4000 }));
    const pending = scene.open().source.getToken();
    await until(() => scene.calls.length === 1);
    await leap(30 * SECOND);
    go();
    same((await ended(pending)).expiresIn, 3970);
  },
  async "the margin is a quarter of a short life"(scene) {
    scene.script = [vended("first", { life: 1800 }), vended("second", { life: 1800 })];
    const { source } = scene.open();
    same([await outcome(source.getToken()), await outcome(source.getToken())], ["first", "first"]);
    await leap(1400 * SECOND);
    same(await outcome(source.getToken()), "second");
  },
  // Problems ----------------------------------------------------------------------------------
  async "a passing problem is waited for and a refusal is told at once"(_, helper) {
    same(Object.keys(PROBLEMS).sort(), Object.keys(catalogue).sort());
    for (const [slug, { waits }] of Object.entries(PROBLEMS)) {
      const scene = stage(helper);
      scene.script = [refused(slug, catalogue[slug], "7"), vended("first")];
      const tab = scene.open();
      const pending = failure(tab.source.getToken());
      await pass(8 * SECOND);
      const said = await ended(pending);
      same([slug, tab.waits.length, tab.signOuts], [slug, waits ? 1 : 0, 0]);
      if (waits) same([slug, said.jti, tab.waits[0].error.slug], [slug, "first", slug]);
      else same([said.slug, said.status, said.retryAfter, scene.calls.length], [slug, catalogue[slug], 7, 1]);
    }
  },
  async "every form of Retry-After is understood"(_, helper) {
    for (const [header, seconds] of [["12", 12], ["2.5", 2.5], ["0", 1]]) {
      const scene = stage(helper);
      scene.script = [refused("aurora-busy", 503, header), vended("first")];
      const tab = scene.open();
      const pending = outcome(tab.source.getToken());
      await until(() => tab.waits.length === 1);
      same([header, Math.round(tab.waits[0].until - clock.wall)], [header, seconds * SECOND]);
      await pass((seconds + 1) * SECOND);
      same(await ended(pending), "first");
    }
  },
  async "a turn as far ahead as any is waited for"(scene) {
    // Who gives up before would come back too late for it, and queue anew.
    scene.script = [refused("aurora-busy", 503, "890"), vended("first")];
    const tab = scene.open();
    const pending = outcome(tab.source.getToken());
    await until(() => tab.waits.length === 1);
    await leap(891 * SECOND);
    same(await ended(pending), "first");
  },
  async "patience covers all waits of a call"(scene) {
    scene.script = Array(3).fill(refused("aurora-busy", 503, "40"));
    const tab = scene.open(signIn(), { patience: 100 });
    const pending = outcome(tab.source.getToken());
    for (const waits of [1, 2]) {
      await until(() => tab.waits.length === waits);
      await leap(41 * SECOND);
    }
    same([await ended(pending), tab.waits.length], ["aurora-busy", 2]);
  },
  async "the gateway's own refusal is tried again twice"(_, helper) {
    for (const status of [429, 502, 503, 504]) {
      const scene = stage(helper);
      scene.script = Array(4).fill(json({ message: "Service Unavailable" }, status));
      const pending = failure(scene.open().source.getToken());
      await pass(15 * SECOND);
      const { slug, status: told } = await ended(pending);
      same([slug, told, scene.calls.length], ["unexpected-answer", status, 3]);
    }
  },
  async "a token that still works is used while the service is down"(scene) {
    scene.script = [vended("first"), refused("aurora-unavailable", 503, "30")];
    const { source } = scene.open();
    await source.getToken();
    await leap(11 * HOUR + 30 * MINUTE);
    same([await outcome(source.getToken()), scene.calls.length], ["first", 2]);
  },
  async "a token with too little life for this caller is not"(scene) {
    scene.script = [vended("first"), refused("aurora-unavailable", 503, "300")];
    const { source } = scene.open(signIn(), { patience: 60 });
    await source.getToken();
    await leap(11 * HOUR + 30 * MINUTE);
    same(await outcome(source.getToken({ minTtl: 3000 })), "aurora-unavailable");
  },
  // Signing in --------------------------------------------------------------------------------
  async "nobody is signed in"(scene) {
    const tab = scene.open("");
    same([await outcome(tab.source.getToken()), scene.calls, tab.signOuts], ["signed-out", [], 1]);
  },
  async "a 401 that the browser shows is a sign-out"(scene) {
    scene.script = [json({ message: "Unauthorized" }, 401), vended("first")];
    const tab = scene.open();
    const error = await failure(tab.source.getToken());
    same([error.slug, error.status, tab.signOuts], ["signed-out", 401, 1]);
  },
  async "somebody answers but hides it from a huge caller's token"(scene) {
    // API Gateway refuses it without a CORS header; another try would be refused, too.
    scene.reachable = true;
    scene.script = Array(9).fill(lost);
    const groups = Array(200).fill("g".repeat(36));
    const pending = outcome(scene.open(signIn({ ...ANN, groups })).source.getToken());
    await pass(5 * SECOND);
    same(await ended(pending), "caller-token-too-large");
  },
  async "an opaque caller's token is named as the mistake"(scene) {
    const error = await failure(scene.open("opaque").source.getToken());
    same([error.name, error.message.includes("must give a JWT")], ["TypeError", true]);
  },
  async "a token without an identity is kept for nobody"(scene) {
    scene.script = [vended("first"), vended("second")];
    const { source } = scene.open(signIn({ iss: ANN.iss, sub: undefined, email: undefined }), { storage: "session" });
    same([await outcome(source.getToken()), await outcome(source.getToken())], ["first", "second"]);
    same(stored(), 0);
  },
  async "an answer for another address is not kept"(scene) {
    scene.script = [vended("first"), vended("second")];
    const { source } = scene.open(signIn(BOB));
    same([await outcome(source.getToken()), await outcome(source.getToken())], ["first", "second"]);
  },
  // Renewing and forgetting -------------------------------------------------------------------
  async "a failed token is replaced once for all who saw it fail"(scene) {
    scene.script = [vended("first")];
    const { source } = scene.open();
    await source.getToken();
    const go = scene.hold(vended("second"));
    const all = Promise.all([1, 2].map(() => outcome(source.replaceToken("first"))));
    await until(() => scene.calls.length === 2);
    go();
    same([await all, await outcome(source.replaceToken("first"))], [["second", "second"], "second"]);
    same(scene.requests.map(({ body }) => body), ["{}", '{"replace":"first"}']);
  },
  async "a failed token is kept unless the person is refused"(_, helper) {
    // It may be the only one for the next hour; the page is told when another try makes sense.
    for (const [slug, { keeps }] of Object.entries(PROBLEMS)) {
      const scene = stage(helper);
      scene.script = [vended("first"), refused(slug, catalogue[slug], "900"), vended("other")];
      const tab = scene.open(signIn(), { storage: "session", patience: 60 });
      await tab.source.getToken();
      const error = await failure(tab.source.replaceToken("first"));
      same([error.slug, error.retryAfter], [slug, 900]);
      same([slug, stored(), tab.tokens], [slug, ...(keeps ? [1, ["first"]] : [0, ["first", null]])]);
      same([slug, await outcome(tab.source.getToken())], [slug, keeps ? "first" : "other"]);
      tab.source.close();
      sessionStorage.clear();
    }
  },
  async "a failed token after an answer that is not the service's"(_, helper) {
    const proxy = () => answer("<p>Blocked by your proxy", { status: 403 });
    for (const [said, keeps] of [[json({ message: "Unauthorized" }, 401), false], [lost, true], [proxy, true]]) {
      const scene = stage(helper);
      scene.script = [vended("first"), said, vended("other")];
      const { source } = scene.open(signIn(), { patience: 0 });
      await source.getToken();
      const pending = failure(source.replaceToken("first"));
      await pass(5 * SECOND);
      same((await ended(pending)) instanceof Error, true);
      same([String(said), await outcome(source.getToken())], [String(said), keeps ? "first" : "other"]);
    }
  },
  async "forget drops the token here and at the service"(scene) {
    scene.script = [vended("first"), forgotten, vended("second")];
    const tab = scene.open(signIn(), { storage: "session" });
    await tab.source.getToken();
    await tab.source.forget();
    const { method, keepalive, body } = scene.requests[1];
    same([method, keepalive, body ?? null], ["DELETE", true, null]);
    same([stored(), tab.tokens], [0, ["first", null]]);
    same(await outcome(tab.source.getToken()), "second");
  },
  async "forget after signing out at the provider still reaches the service"(scene) {
    scene.script = [vended("first"), forgotten];
    const tab = scene.open();
    await tab.source.getToken();
    tab.caller = null;
    await tab.source.forget();
    same([scene.calls, tab.signOuts], [["POST", "DELETE"], 0]);
  },
  async "forget without anybody who ever signed in asks nothing"(scene) {
    await scene.open("").source.forget();
    same(scene.calls, []);
  },
  async "an answer that comes after forget is nobody's"(scene) {
    const go = scene.hold(vended("first"));
    scene.script.push(forgotten, vended("second"));
    const tab = scene.open(signIn(), { storage: "session" });
    const pending = outcome(tab.source.getToken());
    await until(() => scene.calls.length === 1);
    await tab.source.forget();
    go();
    same([await ended(pending), stored(), tab.tokens], ["signed-out", 0, [null]]);
    same(await outcome(tab.source.getToken()), "second");
  },
  // Storage -----------------------------------------------------------------------------------
  async "a reload asks again by default and leaves nothing in storage"(scene) {
    scene.script = [vended("first"), vended("second")];
    const { source } = scene.open();
    await source.getToken();
    source.close();
    same([stored(), await outcome(scene.open().source.getToken())], [0, "second"]);
  },
  async "session storage survives a reload"(scene) {
    scene.script = [vended("first")];
    const { source } = scene.open(signIn(), { storage: "session" });
    await source.getToken();
    source.close();
    await leap(HOUR);
    const { jti, expiresAt } = await scene.open(signIn(), { storage: "session" }).source.getToken();
    same([jti, scene.calls.length], ["first", 1]);
    same(Math.abs((expiresAt - clock.wall) / SECOND - (LIFE - 3600)) < 2, true);
  },
  async "a stored token from the browser's future is not trusted"(scene) {
    scene.script = [vended("first"), vended("second")];
    const { source } = scene.open(signIn(), { storage: "session" });
    await source.getToken();
    source.close();
    setClock(-24 * HOUR);
    same(await outcome(scene.open(signIn(), { storage: "session" }).source.getToken()), "second");
  },
  async "rubbish in storage is overlooked"(_, helper) {
    for (const text of ["", "{", "null", "[]", '{"who": "x"}', "7"]) {
      const scene = stage(helper);
      scene.script = [vended("first")];
      sessionStorage.setItem(`aurora-token ${scene.endpoint}`, text);
      const { source } = scene.open(signIn(), { storage: "session" });
      same([text, await outcome(source.replaceToken("other"))], [text, "first"]);
    }
  },
  async "a storage that is full costs nothing but the reload"(scene) {
    const full = { getItem: () => null, removeItem() {}, setItem() { throw new DOMException("", "QuotaExceededError"); } };
    const restore = instead(globalThis, "sessionStorage", { value: full });
    scene.script = [vended("first")];
    const { source } = scene.open(signIn(), { storage: "session" });
    const both = [await outcome(source.getToken()), await outcome(source.getToken())];
    restore();
    same([both, scene.calls.length], [["first", "first"], 1]);
  },
  async "a frame that may have neither storage nor locks nor channels has tokens"(scene) {
    const denied = { get() { throw new DOMException("", "SecurityError"); } };
    const restore = [
      instead(globalThis, "sessionStorage", denied),
      instead(globalThis, "BroadcastChannel", denied),
      instead(navigator, "locks", denied),
    ];
    scene.script = [vended("first")];
    const { source } = scene.open(signIn(), { storage: "session" });
    const both = [await outcome(source.getToken()), await outcome(source.getToken())];
    for (const each of restore) each();
    same(both, ["first", "first"]);
  },
  // Other tabs --------------------------------------------------------------------------------
  async "what one tab has kept is served while another holds the lock"(scene) {
    scene.script = [vended("first"), vended("first")];
    const [one, two] = [scene.open(), scene.open()];
    await one.source.getToken();
    await two.source.getToken();
    const before = scene.calls.length;
    const go = scene.hold(vended("second"));
    scene.script = scene.script.slice(-1);
    const pending = outcome(one.source.replaceToken("first"));
    await until(() => scene.calls.length === before + 1);
    // No time passes in which anybody could give up on the lock.
    same(await Promise.race([outcome(two.source.getToken()), settle(40).then(() => "it waits")]), "first");
    go();
    same(await ended(pending), "second");
  },
  async "a replaced token reaches the other tab and so does forgetting"(_, helper) {
    // Lives are whole seconds, and Aurora's clocks may differ by its nodes: it may seem to end sooner.
    for (const life of [LIFE, LIFE - 10]) {
      const scene = stage(helper);
      const other = scene.open();
      scene.script = [vended("first")];
      await other.source.getToken();
      // It hears nothing of what was said before it was there.
      const tab = scene.open();
      scene.script = [vended("first"), vended("second", { life }), forgotten];
      await tab.source.getToken();
      await tab.source.replaceToken("first");
      await until(() => other.tokens.at(-1) === "second");
      same([await outcome(tab.source.getToken()), await outcome(other.source.getToken())], ["second", "second"]);
      await tab.source.forget();
      await until(() => other.tokens.at(-1) === null);
    }
  },
  async "an overtaken answer does not bring back the old token"(scene) {
    const [one, two] = [scene.open(), scene.open()];
    scene.script = [vended("oldest", { life: LIFE - 200 })];
    await two.source.getToken();
    scene.script = [vended("new")];
    same(await outcome(one.source.getToken({ minTtl: LIFE - 100 })), "new");
    await until(() => two.tokens.length === 2);
    scene.script = [vended("old", { life: LIFE - 100 })];
    same(await outcome(two.source.getToken({ minTtl: LIFE })), "old");
    same([two.tokens, await outcome(two.source.getToken())], [["oldest", "new"], "new"]);
  },
  async "a stolen lock neither loses nor doubles the request"(scene) {
    const go = scene.hold(vended("first"));
    scene.script.push(vended("second"));
    const pending = outcome(scene.open().source.getToken());
    await until(() => scene.calls.length === 1);
    const { held } = await navigator.locks.query();
    const { name } = held.find(({ name }) => name.includes(scene.endpoint));
    await navigator.locks.request(name, { steal: true }, () => {});
    go();
    same([await ended(pending), scene.calls.length], ["first", 1]);
  },
  async "a lock that never comes free is not waited for for ever"(scene) {
    scene.hold(vended("first"));
    scene.script.push(vended("second"));
    const { source } = scene.open();
    outcome(source.getToken());
    const pending = outcome(source.replaceToken("other"));
    await settle();
    same(scene.calls.length, 1);
    await pass(41 * SECOND);
    same(await ended(pending), "second");
  },
  // The Client SDK ----------------------------------------------------------------------------
  async "the SDK is loaded with the token under the option that is named"(scene, helper) {
    scene.script = [vended("first")];
    const { source: tokenSource } = scene.open();
    const loaderUrl = loader("export const load = async (options) => ({ loadedWith: options });");
    const { sdk, token } = await helper.loadClientSDK({ tokenSource, loaderUrl });
    same([sdk.loadedWith, token.jti], [{ token: "jwt-first" }, "first"]);
    const named = await helper.loadClientSDK({ tokenSource, loaderUrl, tokenOption: "jwt" });
    same(named.sdk.loadedWith, { jwt: "jwt-first" });
    const address = "https://aurora-sdk.s3.amazonaws.com/client-sdk-loader.next.js";
    same([helper.LOADER_URL, helper.TOKEN_OPTION], [address, "token"]);
  },
};
