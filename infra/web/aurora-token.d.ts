/** What went wrong: the slug of the service's problem, or one of those that only a browser knows. */
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
  /** `getCallerToken` gave nothing for two minutes. */
  | "sign-in-silent"
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

/** As the service gives it, and as it is kept. */
export interface VendedToken {
  jwt: string;
  jti: string;
  /** Who it is for, at Aurora. */
  user: { id: string; email: string };
  /** Where the service had it from. */
  source: "stored" | "generated";
}

export interface AccessToken extends VendedToken {
  /** Whole seconds of life left when it was handed over. */
  expiresIn: number;
  /** On this browser's clock, so that a count-down is right even where that clock is wrong. */
  expiresAt: Date;
  /** From here on `getToken` would ask for another: an hour before the end, or a quarter of a shorter life. */
  renewAt: Date;
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
  /** The same, as plain text: what other SDKs call a token provider. */
  tokenProvider: () => Promise<string>;
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
  /** Say that a session is open on the token, in every tab, until the function that this gives is called. */
  holdSession(): () => void;
  /** Stop listening and end what is under way: every later call fails with `closed`. */
  close(): void;
}

/** Why there is no token any more: nobody or somebody else is signed in, or the service refuses the person. */
export type Gone = "signed-out" | "refused";

/** What a page may want to be told.  Whatever a callback throws goes to the console and changes nothing. */
export interface TokenCallbacks {
  /** The call goes on by itself at `until`; `error` has a title and a sentence that say why it waits. */
  onWaiting?: (wait: { until: Date; error: TokenError }) => void;
  /** The kept token changed, here or in another tab; null when it is gone. */
  onToken?: (token: AccessToken | null, why?: Gone) => void;
  /** The caller has to sign in (again). */
  onSignedOut?: () => void;
}

export interface TokenSourceOptions extends TokenCallbacks {
  /** The address of `/token`. */
  endpoint: string | URL;
  /** The person's own OIDC token as a JWT; empty or null where nobody is signed in. */
  getCallerToken: () => Promise<string | null | undefined> | string | null | undefined;
  /** Stands in for the browser's own `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Sent with each request, for what stands before the service. */
  headers?: Record<string, string>;
  /** Whether cookies go along; `omit` is the default. */
  credentials?: RequestCredentials;
  /** `session` survives a reload of the tab; `memory` is the default. */
  storage?: "memory" | "session";
  /** The longest that one call waits for its turn, in seconds; 900 by default, as far ahead as turns are given. */
  patience?: number;
}

export interface AboutError {
  status?: number;
  problem?: Problem;
  retryAfter?: number;
  cause?: unknown;
}

/** `title` and `message` are for people. */
export class TokenError extends Error {
  constructor(slug: Slug, about?: AboutError);
  readonly slug: Slug;
  readonly title: string;
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

/** A title and a sentence for what only a browser knows; the service's problems bring their own. */
export const PROBLEMS: { readonly [slug in Slug]?: readonly [string, string] };

export function createTokenSource(options: TokenSourceOptions): TokenSource;
