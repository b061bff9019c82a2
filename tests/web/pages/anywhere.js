// A token source where there is no browser.
import { createTokenSource } from "aurora-token-vendor";
import { LOADER_URL } from "aurora-token-vendor/sdk";
const caller = `e30.${btoa(JSON.stringify({ sub: "a", email: "a@example.com" }))}.c2ln`;
const expires_at = new Date(Date.now() + 43200e3);
const token = { jwt: "j", jti: "first", expires_at, expires_in: 43200 };
const source = createTokenSource({
  endpoint: "https://example.com/token",
  getCallerToken: () => caller,
  storage: "session",
  fetch: async () => new Response(JSON.stringify({ token, user: { email: "a@example.com" } })),
});
const { jti } = await source.getToken();
console.log(jti, LOADER_URL.startsWith("https://"));
