// An app in StrictMode, which runs every effect twice, with two components that share a session.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createTokenSource } from "./web/aurora-token.js";
import { useAuroraSDK, useAuroraToken } from "./web/react.js";

const tokenSource = createTokenSource({ endpoint: "/token", getCallerToken: () => callerToken });
Object.assign(window, { tokenSource });

function Token() {
  const { token, problem, waiting, expiring, retry } = useAuroraToken(tokenSource);
  return (
    <>
      <p id="token">{token?.jti}</p>
      <p id="problem">{problem?.slug}</p>
      <p id="waiting">{waiting?.problem.slug}</p>
      <p id="expiring">{expiring?.token.jti}</p>
      <button id="retry" onClick={retry} />
    </>
  );
}

function Design({ id }) {
  const { sdk, problem, over, reload } = useAuroraSDK(tokenSource, { loaderUrl: "/counting.js" });
  return (
    <>
      <p id={`sdk-${id}`}>{sdk && `session ${sdk.number}`}</p>
      <p id={`sdk-problem-${id}`}>{problem?.message}</p>
      <p id={`over-${id}`}>{over?.reason}</p>
      <button id={`reload-${id}`} onClick={reload} />
    </>
  );
}

window.mount = () => {
  const root = createRoot(document.body.appendChild(document.createElement("main")));
  root.render(<StrictMode><Token /><Design id={1} /><Design id={2} /></StrictMode>);
  window.unmount = () => root.unmount();
};
