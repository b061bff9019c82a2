// Build page.js with one bundler, as its own documentation begins, into dist/<bundler>.  A warning
// is an error: a developer would have to find out what it means.
import { join } from "node:path";

const [bundler] = process.argv.slice(2);
const here = process.cwd();
const entry = join(here, "page.js");
const path = join(here, "dist", bundler);

/** @param {string[]} warnings */
function done(warnings) {
  if (warnings.length) throw new Error(warnings.join("\n"));
}

/** @param {(options: object, done: Function) => void} pack */
function likeWebpack(pack, options = {}) {
  const output = { path, filename: "page.js", module: true };
  const experiments = { outputModule: true, ...options };
  const target = ["web", "es2022"];
  pack({ mode: "production", context: here, entry, target, experiments, output }, (error, stats) => {
    if (error) throw error;
    const { errors, warnings } = stats.toJson({ errors: true, warnings: true });
    done([...errors, ...warnings].map(({ message }) => message));
  });
}

const builds = {
  async vite() {
    const { build } = await import("vite");
    const warnings = [];
    const customLogger = {
      hasWarned: false, info() {}, clearScreen() {}, hasErrorLogged: () => false,
      warn: (text) => warnings.push(text),
      warnOnce: (text) => warnings.push(text),
      error: (text) => warnings.push(text),
    };
    const lib = { entry, formats: ["es"], fileName: () => "page.js" };
    await build({ root: here, configFile: false, customLogger, build: { outDir: path, lib } });
    done(warnings);
  },
  async webpack() {
    likeWebpack((await import("webpack")).default);
  },
  async rspack() {
    likeWebpack((await import("@rspack/core")).rspack);
  },
  async esbuild() {
    const { build } = await import("esbuild");
    const options = { entryPoints: [entry], bundle: true, minify: true, format: "esm" };
    const { warnings } = await build({ ...options, outfile: join(path, "page.js"), logLevel: "silent" });
    done(warnings.map(({ text }) => text));
  },
};

await builds[bundler]();
