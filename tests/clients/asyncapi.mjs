// What AsyncAPI's own parser says of the document in the file that is named: nothing, or everything that is wrong.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const ERROR = 0;
const WARNING = 1;

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
const wrong = diagnostics.filter(({ severity }) => severity === ERROR || severity === WARNING);
for (const { path, message } of wrong) console.log(`${path.join(".")}: ${message}`);
process.exit(document && wrong.length === 0 ? 0 : 1);
