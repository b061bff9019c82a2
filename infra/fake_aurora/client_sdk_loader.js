// Stands in for Aurora's Client SDK loader in the demo and the browser tests.  It opens a session at
// the fake Aurora, which enforces what Aurora's page says: one session per person, and expiry.
// The shape of `load` follows the page; the name of the option that takes the JWT is not published,
// so any of the likely ones is accepted.

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
  return {
    session,
    // "live", or in plain words why the session is over.
    state: async () => (await (await fetch(address)).json()).state,
    close: () => fetch(address, { method: "DELETE", keepalive: true }),
  };
}
