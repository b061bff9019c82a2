/** What went wrong: the slug of the service's problem, or one of the four that only a browser knows. */
export type Slug =
  | "invalid-request"
  | "caller-not-identified"
  | "user-not-eligible"
  | "invitation-pending"
  | "too-many-renewals"
  | "aurora-busy"
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
  /** An answer, but not from this service: a proxy's page, the gateway's own refusal. */
  | "unexpected-answer"
  /** Another person signed in while the token was on its way. */
  | "caller-changed";

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
   * Left out, the copy kept here is used for as long as it has an hour left, and otherwise the service decides.
   */
  getToken(options?: { minTtl?: number }): Promise<AccessToken>;
  /** Say that a token failed, and give another; many callers with the same `jti` cause one generate. */
  replaceToken(jti: string): Promise<AccessToken>;
  /** Drop the token here, in other tabs and at the service: the person signs out. */
  forget(): Promise<void>;
  /** Stop listening to other tabs and end what is under way; for tests, servers and unmounting. */
  close(): void;
}

export interface TokenSourceOptions {
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
  /** The service asked to wait; the same call goes on by itself at `until`. */
  onWaiting?: (wait: { until: Date; problem: TokenError }) => void;
  /** The kept token changed, here or in another tab; null when it was forgotten. */
  onToken?: (token: AccessToken | null) => void;
  /** The caller has to sign in (again). */
  onSignedOut?: () => void;
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

export function createTokenSource(options: TokenSourceOptions): TokenSource;

/** Import Aurora's loader and load the Client SDK with this person's token. */
export function loadClientSDK(options: {
  tokenSource: TokenSource;
  loaderUrl?: string;
  tokenOption?: string;
}): Promise<{ sdk: ClientSDK; token: AccessToken }>;
