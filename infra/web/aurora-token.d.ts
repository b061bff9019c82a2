/** What went wrong: the slug of the service's problem, or one of the five that only a browser knows. */
export type Slug =
  | "invalid-request"
  | "caller-not-identified"
  | "user-not-eligible"
  | "invitation-pending"
  | "too-many-renewals"
  | "aurora-busy"
  | "generating-stopped"
  | "aurora-unavailable"
  | "aurora-timeout"
  | "aurora-invalid-response"
  | "aurora-key-rejected"
  | "token-store-unavailable"
  | "internal-error"
  /** The caller has to sign in (again). */
  | "signed-out"
  /** No answer: offline, blocked by CORS, or cut off. */
  | "unreachable"
  /** No answer, and the sign-in token is larger than API Gateway takes: fewer groups in it help. */
  | "caller-token-too-large"
  /** An answer, but not from this service: a proxy's page, the gateway's own refusal. */
  | "unexpected-answer"
  /** Another person signed in while the token was on its way. */
  | "caller-changed"
  /** The token source was closed. */
  | "closed";

export interface AccessToken {
  jwt: string;
  jti: string;
  /** Who it is for, at Aurora. */
  user: { id: string; email: string };
  /** Where the service had it from. */
  source: "stored" | "generated";
  /** Whole seconds of life left when it was handed over. */
  expiresIn: number;
  /** On this browser's clock, so that a count-down is right even where that clock is wrong. */
  expiresAt: Date;
}

export interface TokenSource {
  /**
   * Give a token with at least `minTtl` seconds to live.
   *
   * Left out, the copy kept here is used for as long as it has an hour left, or a quarter of a shorter life, and
   * otherwise the service decides.  While a Client SDK session is open, the kept copy is used to its end: another
   * token might end the session.
   */
  getToken(options?: { minTtl?: number; signal?: AbortSignal }): Promise<AccessToken>;
  /** Give a token that is not near its end.  Where that takes a new one, it may end the session that is open. */
  renew(options?: { signal?: AbortSignal }): Promise<AccessToken>;
  /**
   * Say that a token failed, and give another; many callers with the same `jti` cause one generate.
   *
   * Until another is there, `getToken` still gives the one that failed.  It goes when the service refuses the person,
   * not when the service is busy, down, or allows no further token in this hour: `retryAfter` says when it does.
   */
  replaceToken(jti: string, options?: { signal?: AbortSignal }): Promise<AccessToken>;
  /** Drop the token here, in other tabs and at the service: the person signs out. */
  forget(options?: { signal?: AbortSignal }): Promise<void>;
  /** Be told as well, until the function that this gives is called. */
  subscribe(callbacks: TokenCallbacks): () => void;
  /**
   * Watch the Client SDK session that runs on `token`, in place of the one before, until the function that this
   * gives is called.  `loadClientSDK` does it.
   */
  watchSession(session: SessionOptions & { sdk: ClientSDK; token: AccessToken }): () => void;
  /** Stop listening and end what is under way: every later call fails with `closed`. */
  close(): void;
}

/** What a page may want to be told.  Whatever a callback throws goes to the console and changes nothing. */
export interface TokenCallbacks {
  /** The service asked to wait; the same call goes on by itself at `until`. */
  onWaiting?: (wait: { until: Date; problem: TokenError }) => void;
  /** The kept token changed, here or in another tab; null when it was forgotten. */
  onToken?: (token: AccessToken | null) => void;
  /**
   * The kept token ends at `at`, in an hour or a quarter of a shorter life, and nothing renewed it.  Told once for
   * each token; after the end where the machine slept through it.
   */
  onExpiring?: (expiring: { token: AccessToken; at: Date }) => void;
  /** The caller has to sign in (again). */
  onSignedOut?: () => void;
}

export interface TokenSourceOptions extends TokenCallbacks {
  /** The address of `/token`. */
  endpoint: string;
  /** The person's own OIDC token as a JWT; empty or null where nobody is signed in. */
  getCallerToken: () => Promise<string | null | undefined> | string | null | undefined;
  /** Stands in for the browser's own `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** `session` survives a reload of the tab; `memory` is the default. */
  storage?: "memory" | "session";
  /** The longest that one call waits for its turn, in seconds; 900 by default, as far ahead as turns are given. */
  patience?: number;
  /**
   * Whether a token near its end is renewed unasked, which may end the session that is open: `never`, the default;
   * `idle`, while no tab of this browser has a session open; or `always`.
   */
  renew?: "never" | "idle" | "always";
}

export interface SessionOptions {
  /** The session is over, as far as the SDK's events, the token's end and sign-out tell. */
  onOver?: (over: SessionOver) => void;
  /** The names of the SDK's events that mean the end of a session. */
  endEvents?: readonly string[];
}

export interface SessionOver {
  /**
   * `expired`: the token has run out.  `replaced`: this browser has got another token since.  `taken-over`: the SDK
   * ended the session of a good token, which happens when the person opens one elsewhere.  `signed-out`: the token
   * was forgotten, here or in another tab.
   */
  reason: "expired" | "replaced" | "taken-over" | "signed-out";
  /** The SDK's event that told, and what came with it. */
  event?: string;
  detail?: unknown;
}

export class TokenError extends Error {
  constructor(slug: Slug, about?: { status?: number; problem?: Problem; retryAfter?: number; cause?: unknown });
  readonly slug: Slug;
  /** The HTTP status, 0 where there was no answer. */
  readonly status: number;
  /** The RFC 9457 body where there was one. */
  readonly problem: Problem | undefined;
  /** Seconds after which another try makes sense. */
  readonly retryAfter: number | undefined;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  instance?: string;
  retry_at?: string;
}

/** Aurora's Client SDK, as far as this module knows it. */
export interface ClientSDK {
  [member: string]: any;
}

/** The address on Aurora's "Access Token" page. */
export const LOADER_URL: string;
/** The option of `load` that takes the JWT. */
export const TOKEN_OPTION: string;
/** The SDK's events that end a session. */
export const SESSION_END_EVENTS: readonly string[];

export function createTokenSource(options: TokenSourceOptions): TokenSource;

/**
 * Import Aurora's loader, load the Client SDK with this person's token, and watch its session.
 *
 * `unwatch` says that the page has closed the session.  With `signal` aborted while the SDK loads, what loaded
 * nevertheless is closed where it has a `close`.
 */
export function loadClientSDK(
  options: SessionOptions & {
    tokenSource: TokenSource;
    loaderUrl?: string;
    tokenOption?: string;
    signal?: AbortSignal;
  },
): Promise<{ sdk: ClientSDK; token: AccessToken; unwatch: () => void }>;
