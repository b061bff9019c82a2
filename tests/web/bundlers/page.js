// What each bundler builds: a page that loads the Client SDK from Aurora's address.
import { createTokenSource, loadClientSDK } from "aurora-token-vendor";

const tokenSource = createTokenSource({
  endpoint: "/token",
  getCallerToken: () => window.callerToken,
});
const { sdk } = await loadClientSDK({ tokenSource });
document.title = `loaded with ${sdk.loadedWith.token}`;
