import { useState } from "react";
import { Design } from "./design";
import { dropSignIn, signIn, signOut } from "./session";

export function App({ signedIn }: { signedIn: string | null }) {
  const [person, setPerson] = useState(signedIn);

  if (!person) return <button onClick={() => signIn()}>Sign in</button>;
  const leaveBy = (way: () => Promise<void>) => () => {
    setPerson(null);
    void way();
  };
  return (
    <>
      <header>
        {person} <button onClick={leaveBy(signOut)}>Sign out</button>
      </header>
      <Design onSignedOut={leaveBy(dropSignIn)} />
    </>
  );
}
