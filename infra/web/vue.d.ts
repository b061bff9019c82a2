import type { ShallowRef } from "vue";
import type { AccessToken, ClientSDK, SessionOptions, SessionOver, TokenError, TokenSource } from "./aurora-token.js";

export interface AuroraToken {
  /** Null until it has come, and after sign-out. */
  token: ShallowRef<AccessToken | null>;
  /** Why there is none; it may also be what `getCallerToken` threw. */
  problem: ShallowRef<TokenError | Error | null>;
  /** The service asked to wait; it goes on by itself. */
  waiting: ShallowRef<{ until: Date; problem: TokenError } | null>;
  /** The token nears its end: offer a renewal, `tokenSource.renew()`. */
  expiring: ShallowRef<{ token: AccessToken; at: Date } | null>;
  /** Ask again after a problem. */
  retry: () => Promise<void>;
}

export interface AuroraSDKOptions extends SessionOptions {
  loaderUrl?: string;
  tokenOption?: string;
  /** Closes the SDK when the component unmounts; by default its `close` where it has one. */
  close?: (sdk: ClientSDK) => unknown;
}

export interface AuroraSDK {
  sdk: ShallowRef<ClientSDK | null>;
  /** The token that it runs on. */
  token: ShallowRef<AccessToken | null>;
  problem: ShallowRef<TokenError | Error | null>;
  /** Why the session is over. */
  over: ShallowRef<SessionOver | null>;
  /** Close what is loaded and load it again. */
  reload: () => Promise<void>;
}

/** Get this person's token when the component mounts, and follow what becomes of it. */
export function useAuroraToken(tokenSource: TokenSource): AuroraToken;

/** Load the Client SDK for as long as the component is mounted. */
export function useAuroraSDK(tokenSource: TokenSource, options?: AuroraSDKOptions): AuroraSDK;
