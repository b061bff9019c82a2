// What each bundler builds: a page that loads the Client SDK from Aurora's address.
import { createTokenSource } from "aurora-token-vendor";
import { loadClientSDK } from "aurora-token-vendor/sdk";

const tokenSource = createTokenSource({
  endpoint: "/token",
  getCallerToken: () => window.callerToken,
});
const { sdk } = await loadClientSDK({ tokenSource });
document.title = `loaded with ${sdk.loadedWith.token}`;
