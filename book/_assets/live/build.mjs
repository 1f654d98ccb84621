// Makes live.js and figures.js, classic scripts (ES modules do not load from file://), from src/, ml-matrix and uPlot.
//   npm ci && node build.mjs
// The first line of each result carries the SHA-256 of the sources; a test compares it.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { build } from "esbuild";

const sources = readdirSync("src").sort().map((name) => `src/${name}`);
const sha = createHash("sha256");
for (const path of [...sources, "package.json"]) sha.update(readFileSync(path));
const digest = sha.digest("hex");
const version = (name) => JSON.parse(readFileSync("package.json")).dependencies[name];

for (const [name, library] of [["live", "ml-matrix"], ["figures", "uplot"]]) {
  await build({
    entryPoints: [`src/${name === "live" ? "main" : name}.js`],
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    charset: "utf8",
    loader: { ".css": "text" },
    legalComments: "none",
    banner: { js: `/* made by build.mjs from sources ${digest}; contains ${library} ${version(library)}, MIT, see LICENSE-${library} */` },
    outfile: `${name}.js`,
  });
}
