// An app in StrictMode, which runs every effect twice, with two components that share a session.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createTokenSource } from "./web/aurora-token.js";
import { useAuroraSDK, useAuroraToken } from "./web/react.js";

const tokenSource = createTokenSource({ endpoint: "/token", getCallerToken: () => callerToken });
Object.assign(window, { tokenSource });

function Token() {
  const { status, token, error, waiting, refetch } = useAuroraToken(tokenSource);
  return (
    <>
      <p id="token">{token?.jti}</p>
      <p id="status">{status}</p>
      <p id="error">{error?.slug}</p>
      <p id="waiting">{waiting?.error.slug}</p>
      <button id="refetch" onClick={refetch} />
    </>
  );
}

function Design({ id }) {
  const { sdk, error, expiring, over, reload } = useAuroraSDK(tokenSource, { loaderUrl: "/counting.js" });
  return (
    <>
      <p id={`sdk-${id}`}>{sdk && `session ${sdk.number}`}</p>
      <p id={`sdk-error-${id}`}>{error?.message}</p>
      <p id={`expiring-${id}`}>{expiring && "soon"}</p>
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
