import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** The dashboard as static files in assets/web, which the server serves at `/`. Nothing is inlined: the page's policy forbids it. */
export default defineConfig({
  base: "./",
  plugins: [svelte()],
  // For `npm run web`, beside a server on its usual port.
  server: { proxy: { "/graphql": { target: "http://localhost:4000", ws: true } } },
  build: {
    outDir: "../assets/web",
    emptyOutDir: true,
    target: "es2022",
    cssTarget: ["chrome123", "firefox121", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
