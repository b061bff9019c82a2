// The demo page: what the token vendor's answers look like to a person.  session.js does the work,
// page.js shows it.  Here is only what happens when the page cannot start.

import { element, focusOn, render, shown } from "./page.js";

try {
  await import("./session.js");
} catch (error) {
  console.warn(error);
  element("way-out").addEventListener("click", () => location.reload());
  Object.assign(shown, { busy: false, error: { slug: "not-set-up" } });
  render();
  focusOn("problem");
}
