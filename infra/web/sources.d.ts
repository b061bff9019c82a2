import type { TokenSource } from "./aurora-token.js";

/** A token source over one JWT, for tests and stories: it asks nobody and keeps nothing. */
export function literalTokenSource(jwt: string): TokenSource;

/** A token source over a function of yours, which is called each time: keep there what should be kept. */
export function customTokenSource(
  vend: (wish: { minTtl?: number; replaced?: string; signal?: AbortSignal }) => Promise<string> | string,
): TokenSource;
