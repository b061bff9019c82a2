import { TokenError } from "aurora-token-vendor";
import { useAuroraSDK } from "aurora-token-vendor/react";
import type { SessionOver } from "aurora-token-vendor/sdk";
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
  const { status, token, error, waiting, expiring, over, reload } = useAuroraSDK(tokenSource, {
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
    switch (status) {
      case "over":
        return over && <Notice text={OVER[over.reason]} action="Continue here" onClick={reload} />;
      case "signed-out":
        return <Notice text="Your sign-in has run out." action="Sign in again" onClick={signIn} />;
      case "failed":
        return error && <Notice text={inWords(error)} action="Try again" onClick={reload} />;
      case "waiting":
        return waiting && <Notice text={`${waiting.error.title}. Going on at ${clock(waiting.until)}.`} />;
      case "loading":
        return <Notice text="Loading the design tool …" />;
    }
    if (refusal) return <Notice text={inWords(refusal)} />;
    // A renewal may end the session, so the person chooses the moment.
    const text = `This session ends at ${expiring && clock(expiring.at)}. Save your work.`;
    return expiring && <Notice text={text} action="Start a new one" onClick={reload} />;
  }

  return (
    <main>
      <div className="title">
        <h1>{status === "ready" ? "The design tool is open" : "Design"}</h1>
        {token && <button className="quiet" onClick={() => replace(token.jti)}>This token failed</button>}
      </div>
      {notice()}
      {/* Here before the SDK is loaded, which draws into it. */}
      <div id="cad-element" />
    </main>
  );
}

type NoticeProps = { text: string; action?: string; onClick?: () => unknown };

function Notice({ text, action, onClick }: NoticeProps) {
  return (
    <p role="status" className="notice">
      {text} {action && <button onClick={onClick}>{action}</button>}
    </p>
  );
}

const clock = (time: Date) => time.toLocaleTimeString();

/** What went wrong, and when another try makes sense. */
function inWords(error: Error) {
  if (!(error instanceof TokenError)) return error.message;
  const { title, message, retryAfter } = error;
  const again = retryAfter ? ` Possible again at ${clock(new Date(Date.now() + retryAfter * 1000))}.` : "";
  return `${title}. ${message}${again}`;
}
