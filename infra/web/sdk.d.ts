import type { AccessToken, TokenSource } from "./aurora-token.js";

/** Aurora's Client SDK, as far as this module knows it. */
export interface ClientSDK {
  [member: string]: any;
}

export interface SessionOptions {
  /** The session is over, as far as the SDK's events, the token's end and sign-out tell. */
  onOver?: (over: SessionOver) => void;
  /** The session ends at `at`, in an hour or a quarter of a shorter life.  Told once. */
  onExpiring?: (expiring: { at: Date }) => void;
  /** The names of the SDK's events that mean the end of a session. */
  endEvents?: readonly string[];
}

export interface SessionOver {
  /**
   * `expired`: the token has run out.  `replaced`: this browser has got another token since.  `taken-over`: the SDK
   * ended the session of a good token, which happens when the person opens one elsewhere.  `signed-out`: the token
   * was forgotten, here or in another tab, or somebody else signed in.
   */
  reason: "expired" | "replaced" | "taken-over" | "signed-out";
  /** The SDK's event that told, and what came with it. */
  event?: string;
  detail?: unknown;
}

export interface LoadOptions extends SessionOptions {
  tokenSource: TokenSource;
  /** The address of Aurora's loader. */
  loaderUrl?: string;
  /** The option of its `load` that takes the JWT. */
  tokenOption?: string;
  /** Closes an SDK; by default its `close` where it has one, which Aurora does not publish. */
  close?: (sdk: ClientSDK) => unknown;
  signal?: AbortSignal;
}

/** The address on Aurora's "Access Token" page. */
export const LOADER_URL: string;
/** The option of `load` that takes the JWT. */
export const TOKEN_OPTION: string;
/** The SDK's events that end a session. */
export const SESSION_END_EVENTS: readonly string[];

/**
 * Import Aurora's loader, load the Client SDK with this person's token, and watch its session.
 *
 * A token source has one session: what was loaded with it before is closed first, and what still loads is closed as
 * soon as it has loaded.  `close` closes it without another.  Whoever aborts hears so at once.
 */
export function loadClientSDK(
  options: LoadOptions,
): Promise<{ sdk: ClientSDK; token: AccessToken; close: () => Promise<unknown> }>;

/** Watch the session of an SDK that you loaded with `token`, until the function that this gives is called. */
export function watchSession(
  session: SessionOptions & { tokenSource: TokenSource; sdk: ClientSDK; token: AccessToken },
): () => void;
