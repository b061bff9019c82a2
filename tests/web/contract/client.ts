// A client by openapi-typescript and openapi-fetch: vends, is told to wait, and forgets.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

const [baseUrl] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { authorization: "Bearer caller" } });

const vended = await client.POST("/token", { body: { min_ttl: 60 } });
const jwt: string | undefined = vended.data?.token.jwt;
// @ts-expect-error: the contract knows no such member.
await client.POST("/token", { body: { minTtl: 60 } });
const busy = await client.POST("/token", {});
// Where the gateway itself refuses, there is a message and no problem.
const { error } = busy;
const problem: components["schemas"]["Problem"] | undefined =
  error && "type" in error ? error : undefined;
const forgotten = await client.DELETE("/token");
console.log(JSON.stringify([jwt, problem?.type, busy.response.status, forgotten.response.status]));
