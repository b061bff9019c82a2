import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import "./style.css";
import { whoIsSignedIn } from "./session";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App signedIn={await whoIsSignedIn()} />
  </StrictMode>,
);
