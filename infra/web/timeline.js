// What happened on this page, for people: each request to the vendor, and each time that it took none.

import { render, shown } from "./page.js";

/** @typedef {{ at: number, what: string, how: string, kind: string }} Happening */

const KEPT_AS = "demo-page timeline";
const LONGEST = 12;
/** What this tab was given by the vendor itself, by `jti`. @type {Set<string>} */
export const tokensSeen = new Set();

/** @param {Partial<Happening> & { what: string }} happening */
export function happened({ at = Date.now(), what, how = "", kind = "plain" }) {
  shown.happenings = [...shown.happenings, { at, what, how, kind }].slice(-LONGEST);
  // A reload is the best that one can see here.
  sessionStorage.setItem(KEPT_AS, JSON.stringify(shown.happenings));
  render();
}

export function forgetAll() {
  shown.happenings = [];
  sessionStorage.removeItem(KEPT_AS);
}

export function recall() {
  shown.happenings = JSON.parse(sessionStorage.getItem(KEPT_AS) ?? "[]");
}

/** Ask the vendor, and write down what it said and how long it took. @type {typeof fetch} */
export async function watchedFetch(address, init) {
  const started = performance.now();
  const what = init?.method === "DELETE" ? "Token dropped" : "Asked the token vendor";
  const took = () => `${Math.round(performance.now() - started)} ms`;
  try {
    const answer = await fetch(address, init);
    const body = await answer.clone().json().catch(() => null);
    if (init?.mode === "no-cors") return answer;
    if (body?.token) tokensSeen.add(body.token.jti);
    if (body?.source === "stored") happened({ what: "The vendor had your token", how: `${took()}, no call to Aurora`, kind: "stored" });
    else if (body?.source) happened({ what: "Aurora generated a token", how: took(), kind: "generated" });
    else happened({ what: body?.title ?? what, how: took(), kind: answer.ok ? "plain" : "waits" });
    return answer;
  } catch (error) {
    if (init?.mode !== "no-cors") happened({ what: "No answer", how: took(), kind: "waits" });
    throw error;
  }
}
