// Stands in for Aurora's Client SDK loader in the demo and the browser tests.  It opens a session at
// the fake Aurora, which enforces what Aurora's page says: one session per person, and expiry.
// The shape of `load` follows the page; the name of the option that takes the JWT is not published,
// so any of the likely ones is accepted.  What it asks of a page's policy is what the real one seems
// to ask: chunks, evaluated code, a worker from a blob, styles, a frame and a web socket.

const sessions = new URL("/_control/sessions", import.meta.url);

export async function load(options) {
  const jwt = options.token ?? options.jwt ?? options.accessToken;
  const answer = await fetch(sessions, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jwt }),
  });
  const { session, state } = await answer.json();
  if (!session) {
    throw new Error(`The Client SDK did not load: ${state}.`);
  }
  const address = `${sessions}/${session}`;
  // The real one says neither; a public page mounts it in an element of this name.
  const mount = document.querySelector("#cad-element") ?? document.body;
  const { draw } = await import(/* @vite-ignore */ String(new URL("/client-sdk/scene.js", sessions)));
  const scene = await draw(mount);
  return {
    session,
    // "live", or in plain words why the session is over.
    state: async () => (await (await fetch(address)).json()).state,
    close: () => {
      scene.remove();
      return fetch(address, { method: "DELETE", keepalive: true });
    },
  };
}
