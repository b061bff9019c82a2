import type { AccessToken, ClientSDK, SessionOptions, SessionOver, TokenError, TokenSource } from "./aurora-token.js";

export interface AuroraToken {
  /** Null until it has come, and after sign-out. */
  token: AccessToken | null;
  /** Why there is none; it may also be what `getCallerToken` threw. */
  problem: TokenError | Error | null;
  /** The service asked to wait; it goes on by itself. */
  waiting: { until: Date; problem: TokenError } | null;
  /** The token nears its end: offer a renewal, `tokenSource.renew()`. */
  expiring: { token: AccessToken; at: Date } | null;
  /** Ask again after a problem. */
  retry: () => void;
}

export interface AuroraSDKOptions extends SessionOptions {
  loaderUrl?: string;
  tokenOption?: string;
  /** Closes the SDK when nobody uses it any more; by default its `close` where it has one. */
  close?: (sdk: ClientSDK) => unknown;
}

export interface AuroraSDK {
  sdk: ClientSDK | null;
  /** The token that it runs on. */
  token: AccessToken | null;
  problem: TokenError | Error | null;
  /** Why the session is over. */
  over: SessionOver | null;
  /** Close what is loaded and load it again, for every component that shares it. */
  reload: () => void;
}

/** Get this person's token when the component mounts, and follow what becomes of it. */
export function useAuroraToken(tokenSource: TokenSource): AuroraToken;

/** Load the Client SDK; all components with this token source share one session. */
export function useAuroraSDK(tokenSource: TokenSource, options?: AuroraSDKOptions): AuroraSDK;
