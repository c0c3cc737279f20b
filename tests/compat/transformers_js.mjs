// Encode texts with transformers.js: node transformers_js.mjs DTYPE FOLDER TEXTS.json OUTPUT.json
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The package is installed in the working directory, not beside this file.
const require = createRequire(process.cwd() + "/");
const entry = pathToFileURL(require.resolve("@huggingface/transformers"));
const { env, pipeline } = await import(entry);
const [dtype, folder, textsPath, output] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const extract = await pipeline("feature-extraction", basename(folder), { dtype });
const vectors = [];
for (const text of JSON.parse(readFileSync(textsPath, "utf-8"))) {
  const tensor = await extract(text, { pooling: "mean", normalize: true });
  vectors.push(Array.from(tensor.data));
}
writeFileSync(output, JSON.stringify({ vectors, versions: { "transformers.js": env.version } }));
