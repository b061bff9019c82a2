// What a TypeScript app writes, and what its compiler must refuse.
import { createTokenSource, TokenError } from "aurora-token-vendor";
import type { Slug } from "aurora-token-vendor";
import { useAuroraSDK, useAuroraToken } from "aurora-token-vendor/react";
import { loadClientSDK } from "aurora-token-vendor/sdk";
import type { SessionOver } from "aurora-token-vendor/sdk";
import { literalTokenSource } from "aurora-token-vendor/sources";
import { useAuroraSDK as inVue } from "aurora-token-vendor/vue";

const getCallerToken = () => null;
const tokenSource = createTokenSource({ endpoint: new URL("https://a.example"), getCallerToken, storage: "session" });
export const provider: () => Promise<string> = literalTokenSource("jwt").tokenProvider;
export const jwt: Promise<string> = tokenSource.getToken({ minTtl: 60 }).then(({ jwt }) => jwt);
export const slug = (error: unknown): Slug | undefined =>
  error instanceof TokenError ? error.slug : undefined;
// @ts-expect-error: there is no such slug.
export const wrong: Slug = "aurora-bussy";
// @ts-expect-error: there is no such storage.
createTokenSource({ endpoint: "/token", getCallerToken, storage: "disk" });
export const status: "over" | string = useAuroraToken(tokenSource).status;
export const sdk = () => useAuroraSDK(tokenSource).expiring?.at;
export const vue = () => inVue(tokenSource).error.value?.message;
const onOver = ({ reason }: SessionOver) => reason === "taken-over";
export const loaded = loadClientSDK({ tokenSource, onOver });
