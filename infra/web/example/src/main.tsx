import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Design } from "./design";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <Design />
  </StrictMode>,
);
