// The OpenFeature server SDK with its OFREP provider, asked line by line.
//
//   node server.mjs BASE_URL TOKEN
//
// Reads a JSON object a line, {"key", "default", "context"}; writes the SDK's evaluation details, a line each. The type of
// `default` says what kind of value is asked for.
import { createInterface } from 'node:readline';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';

const [baseUrl, token] = process.argv.slice(2);
await OpenFeature.setProviderAndWait(
  new OFREPProvider({ baseUrl, headers: { Authorization: `Bearer ${token}` } }),
);
const client = OpenFeature.getClient();

for await (const line of createInterface({ input: process.stdin })) {
  const { key, default: fallback, context } = JSON.parse(line);
  const details =
    typeof fallback === 'boolean'
      ? await client.getBooleanDetails(key, fallback, context)
      : await client.getStringDetails(key, fallback, context);
  console.log(JSON.stringify(details));
}
