import { TokenError, type SessionOver } from "aurora-token-vendor";
import { useAuroraSDK, useAuroraToken } from "aurora-token-vendor/react";
import { useState } from "react";
import { signIn, tokenSource } from "./session";

const OVER: Record<SessionOver["reason"], string> = {
  expired: "This session has run out.",
  replaced: "Another token was generated for you.",
  "taken-over": "You opened a session somewhere else.",
  "signed-out": "You have signed out.",
};

export function Design({ onSignedOut }: { onSignedOut: () => void }) {
  const [refusal, setRefusal] = useState<Error | null>(null);
  const { waiting, expiring } = useAuroraToken(tokenSource);
  const { sdk, token, problem, over, reload } = useAuroraSDK(tokenSource, {
    loaderUrl: import.meta.env.VITE_LOADER_URL,
    onOver: ({ reason }) => reason === "signed-out" && onSignedOut(),
  });

  /** Only for a token that does not work: another ends the session that is open. */
  async function replace(jti: string) {
    try {
      await tokenSource.replaceToken(jti);
      setRefusal(null);
      reload();
    } catch (error) {
      setRefusal(error as Error);
    }
  }

  function notice() {
    if (over) return <Notice text={OVER[over.reason]} action="Continue here" onClick={reload} />;
    if (isSignedOut(problem)) {
      return <Notice text="Your sign-in has run out." action="Sign in again" onClick={signIn} />;
    }
    if (problem) return <Notice text={problem.message} action="Try again" onClick={reload} />;
    if (waiting) return <Notice text={`Your turn comes at ${clock(waiting.until)}.`} />;
    if (refusal) return <Notice text={inWords(refusal)} />;
    if (!sdk) return <Notice text="Loading the design tool …" />;
    // A renewal may end the session, so the person chooses the moment.
    const text = `This session ends at ${expiring && clock(expiring.at)}. Save your work.`;
    return expiring && <Notice text={text} action="Start a new one" onClick={reload} />;
  }

  return (
    <main>
      {notice()}
      {sdk && !over && <h1>The design tool is open</h1>}
      {token && <button onClick={() => replace(token.jti)}>This token failed</button>}
      {/* Here before the SDK is loaded, which draws into it. */}
      <div id="cad-element" />
    </main>
  );
}

type NoticeProps = { text: string; action?: string; onClick?: () => unknown };

function Notice({ text, action, onClick }: NoticeProps) {
  return (
    <p role="status">
      {text} {action && <button onClick={onClick}>{action}</button>}
    </p>
  );
}

const clock = (time: Date) => time.toLocaleTimeString();

const isSignedOut = (error: Error | null) =>
  error instanceof TokenError && error.slug === "signed-out";

/** What the service said, and when another try makes sense. */
function inWords(error: Error) {
  const seconds = error instanceof TokenError ? error.retryAfter : undefined;
  if (!seconds) return error.message;
  return `${error.message} Possible again at ${clock(new Date(Date.now() + seconds * 1000))}.`;
}
