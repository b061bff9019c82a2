import { TokenError, type SessionOver } from "aurora-token-vendor";
import { useAuroraSDK, useAuroraToken } from "aurora-token-vendor/react";
import { tokenSource } from "./session";

const OVER: Record<SessionOver["reason"], string> = {
  expired: "This session has run out.",
  replaced: "Another token was generated for you.",
  "taken-over": "You opened a session somewhere else.",
  "signed-out": "You have signed out.",
};

export function Design() {
  const { waiting, expiring } = useAuroraToken(tokenSource);
  const { sdk, problem, over, reload } = useAuroraSDK(tokenSource, {
    loaderUrl: import.meta.env.VITE_LOADER_URL,
  });

  if (over) return <Notice text={OVER[over.reason]} action="Continue here" onClick={reload} />;
  if (problem) return <Notice text={inWords(problem)} action="Try again" onClick={reload} />;
  if (waiting) return <p role="status">Your turn comes at {waiting.until.toLocaleTimeString()}.</p>;
  if (!sdk) return <p role="status">Loading the design tool …</p>;
  return (
    <main>
      {expiring && (
        // A renewal may end the session, so the person chooses the moment.
        <Notice
          text={`This session ends at ${expiring.at.toLocaleTimeString()}. Save your work.`}
          action="Start a new one"
          onClick={reload}
        />
      )}
      <h1>The design tool is open</h1>
      <div id="cad-element" />
    </main>
  );
}

function Notice({ text, action, onClick }: { text: string; action: string; onClick: () => void }) {
  return (
    <p role="status">
      {text} <button onClick={onClick}>{action}</button>
    </p>
  );
}

function inWords(problem: Error) {
  if (problem instanceof TokenError && problem.slug === "signed-out") return "Sign in first.";
  return problem.message;
}
