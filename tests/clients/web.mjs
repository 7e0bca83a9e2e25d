// The OpenFeature web SDK with its OFREP provider, on a page. `cutover.start(options, context)` begins; `details(key)` asks
// what is known to the page at once; `events` is everything that the SDK has said, `requests` what was answered to it.
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';

const events = [];
const requests = [];

for (const event of Object.values(ProviderEvents)) {
  OpenFeature.addHandler(event, () => events.push(event));
}

// The provider's own fetch, watched: it is called as it is, and its answers are handed on as they are.
const fetchAndTell = async (...asked) => {
  const answer = await fetch(...asked);
  requests.push({ status: answer.status, etag: answer.headers.get('etag') });
  return answer;
};

globalThis.cutover = {
  events,
  requests,
  async start(options, context) {
    await OpenFeature.setContext(context);
    try {
      const provider = new OFREPWebProvider({ ...options, fetchImplementation: fetchAndTell });
      await OpenFeature.setProviderAndWait(provider);
      return '';
    } catch (error) {
      return String(error);
    }
  },
  details: (key) => OpenFeature.getClient().getBooleanDetails(key, false),
  changeUser: (context) => OpenFeature.setContext(context),
};
