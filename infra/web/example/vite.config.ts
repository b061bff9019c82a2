import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The local stack allows this origin and no other port.
export default defineConfig({ plugins: [react()], server: { port: 5173, strictPort: true } });
