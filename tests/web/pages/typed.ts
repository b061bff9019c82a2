// What a TypeScript app writes, and what its compiler must refuse.
import { createTokenSource, loadClientSDK, TokenError } from "aurora-token-vendor";
import type { SessionOver, Slug } from "aurora-token-vendor";
import { useAuroraSDK, useAuroraToken } from "aurora-token-vendor/react";
import { useAuroraSDK as inVue } from "aurora-token-vendor/vue";

const getCallerToken = () => null;
const tokenSource = createTokenSource({ endpoint: "/token", getCallerToken, renew: "idle" });
export const jwt: Promise<string> = tokenSource.getToken({ minTtl: 60 }).then(({ jwt }) => jwt);
export const slug = (error: unknown): Slug | undefined =>
  error instanceof TokenError ? error.slug : undefined;
// @ts-expect-error: there is no such slug.
export const wrong: Slug = "aurora-bussy";
// @ts-expect-error: there is no such way to renew.
createTokenSource({ endpoint: "/token", getCallerToken, renew: "sometimes" });
export const end = () => useAuroraToken(tokenSource).expiring?.at;
export const sdk = () => useAuroraSDK(tokenSource).sdk;
export const vue = () => inVue(tokenSource).problem.value?.message;
const onOver = ({ reason }: SessionOver) => reason === "taken-over";
export const loaded = loadClientSDK({ tokenSource, onOver });
