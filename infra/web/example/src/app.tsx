import { useState } from "react";
import { Design } from "./design";
import { dropSignIn, signIn, signOut } from "./session";

export function App({ signedIn }: { signedIn: string | null }) {
  const [person, setPerson] = useState(signedIn);
  const leaveBy = (way: () => Promise<void>) => () => {
    setPerson(null);
    void way();
  };
  return (
    <>
      <header>
        <strong>Rooftop Works</strong>
        {person && (
          <span>
            {person} <button className="quiet" onClick={leaveBy(signOut)}>Sign out</button>
          </span>
        )}
      </header>
      {person ? <Design onSignedOut={leaveBy(dropSignIn)} /> : <Welcome />}
    </>
  );
}

function Welcome() {
  return (
    <main className="welcome">
      <h1>Design solar systems for your customers</h1>
      <p>Sign in with your work account. The design tool opens by itself.</p>
      <button onClick={() => signIn()}>Sign in</button>
    </main>
  );
}
