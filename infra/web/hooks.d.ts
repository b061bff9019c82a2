import type { AccessToken, TokenError, TokenSource } from "./aurora-token.js";
import type { ClientSDK, LoadOptions, SessionOver } from "./sdk.js";

/** `over` is a session's that has ended; all others are a token's too. */
export type Status = "loading" | "waiting" | "ready" | "failed" | "signed-out" | "over";

export interface TokenState {
  status: Status;
  /** Null until it has come, and after sign-out. */
  token: AccessToken | null;
  /** Why there is none; it may also be what `getCallerToken` threw. */
  error: TokenError | Error | null;
  /** It goes on by itself at `until`; the error in it says why it waits. */
  waiting: { until: Date; error: TokenError } | null;
}

export interface SDKState extends TokenState {
  sdk: ClientSDK | null;
  /** The session nears its end: offer to load it again. */
  expiring: { at: Date } | null;
  /** Why the session is over. */
  over: SessionOver | null;
}

export type SDKOptions = Omit<LoadOptions, "tokenSource" | "signal" | "onExpiring">;

/** A state that is kept for as long as somebody follows it. */
export interface Store<State> {
  get: () => State;
  subscribe: (listener: () => void) => () => void;
  restart: () => void;
}

export function tokenStore(tokenSource: TokenSource): Store<TokenState>;
export function sdkStore(tokenSource: TokenSource, options: () => SDKOptions): Store<SDKState>;
