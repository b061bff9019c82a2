import type { TokenSource } from "./aurora-token.js";
import type { SDKOptions, SDKState, TokenState } from "./hooks.js";

export type { SDKOptions, SDKState, Status, TokenState } from "./hooks.js";

/** Get this person's token when the component mounts, and follow what becomes of it; `refetch` asks again. */
export function useAuroraToken(tokenSource: TokenSource): TokenState & { refetch: () => void };

/**
 * Load the Client SDK; all components with this token source share one session.
 *
 * `reload` closes what is loaded and loads it again, for every component that shares it.
 */
export function useAuroraSDK(tokenSource: TokenSource, options?: SDKOptions): SDKState & { reload: () => void };
