"""The fake Aurora's access tokens and Client SDK sessions: who holds which, and what ends them."""

import secrets
import uuid
from dataclasses import dataclass
from typing import Any

import jwt as pyjwt

from infra.fake_aurora.behaviour import Behaviour

HUNDRED_YEARS = 100 * 365 * 86_400


@dataclass(kw_only=True)
class _Token:
    user_id: str
    expires_at: float
    jwt: str = ""
    # Why it no longer loads, or None while it does.
    dead: str | None = None


@dataclass(kw_only=True)
class _Session:
    user_id: str
    jti: str
    ended: str | None = None


class Tokens:
    """
    Every JWT that was generated, and the sessions that were opened with them.

    Not thread-safe: `FakeAurora` holds its lock around each call.
    """

    def __init__(self) -> None:
        # Aurora signs with a secret that nobody else has, so nobody else can verify.
        self._secret = secrets.token_hex(32)
        self._tokens: dict[str, _Token] = {}
        self._latest: dict[str, str] = {}
        self._sessions: dict[str, _Session] = {}
        self.double_generates = 0

    def generate(self, user_id: str, email: str, behaviour: Behaviour, now: float) -> str:
        """Generate a JWT, and count it as double where the person's last one had not expired."""
        previous = self._latest.get(user_id)
        if previous is not None and self._tokens[previous].expires_at > now:
            if behaviour.second_generate == "same":
                return self._tokens[previous].jwt
            self.double_generates += 1
            if behaviour.kill == "at_once":
                self._kill_all(user_id, "another token was generated")
        jti = str(uuid.uuid4())
        expires_at = int(now + behaviour.token_lifetime)
        self._tokens[jti] = _Token(user_id=user_id, expires_at=expires_at)
        self._latest[user_id] = jti
        claims = {"id": user_id, "email": email, "exp": expires_at, "jti": jti}
        self._tokens[jti].jwt = self._sign(_as_behaves(claims, behaviour))
        return self._tokens[jti].jwt

    def distort(self, jwt: str, fault: str, now: float) -> str:
        if fault == "corrupt_jwt":
            # As on Aurora's page: one wrong letter in the header, which then is no JSON.
            return jwt[:2] + "X5" + jwt[4:]
        claims = self._claims(jwt) or {}
        if fault == "expired_jwt":
            claims["exp"] = int(now) - 60
        elif fault == "distant_jwt":
            claims["exp"] = int(now) + HUNDRED_YEARS
        elif fault == "other_user_jwt":
            claims |= {"id": str(uuid.uuid4()), "email": "somebody.else@example.com"}
        return self._sign(claims)

    def state(self, jti: str, now: float) -> str:
        token = self._tokens.get(jti)
        if token is None:
            return "unknown"
        if token.dead is not None:
            return token.dead
        return "live" if token.expires_at > now else "expired"

    def load(self, jwt: str, behaviour: Behaviour, now: float) -> tuple[str | None, str]:
        claims = self._claims(jwt)
        if claims is None:
            return None, "not a token of this Aurora"
        jti = claims["jti"]
        if (state := self.state(jti, now)) != "live":
            return None, state
        user_id = self._tokens[jti].user_id
        running = [s for s in self._sessions.values() if s.user_id == user_id and s.ended is None]
        running = [each for each in running if self.state(each.jti, now) == "live"]
        if running and behaviour.second_session == "refused":
            return None, "another session is open"
        for each in running:
            each.ended = "another session was opened"
        if behaviour.kill == "when_loaded":
            self._kill_older(jti, user_id)
        session_id = str(uuid.uuid4())
        self._sessions[session_id] = _Session(user_id=user_id, jti=jti)
        return session_id, "live"

    def session(self, session_id: str, now: float) -> str:
        session = self._sessions.get(session_id)
        if session is None:
            return "unknown"
        return session.ended or self.state(session.jti, now)

    def close(self, session_id: str) -> None:
        """End a session from its own side; unknown ones are no error."""
        if (session := self._sessions.get(session_id)) and session.ended is None:
            session.ended = "closed"

    def _kill_all(self, user_id: str, reason: str) -> None:
        for token in self._tokens.values():
            if token.user_id == user_id and token.dead is None:
                token.dead = reason

    def _kill_older(self, jti: str, user_id: str) -> None:
        # Insertion order is the order of generating.
        for other, token in self._tokens.items():
            if other == jti:
                return
            if token.user_id == user_id and token.dead is None:
                token.dead = "a newer token was loaded"

    def _sign(self, claims: dict[str, Any]) -> str:
        return pyjwt.encode(claims, self._secret, algorithm="HS256")

    def _claims(self, jwt: str) -> dict[str, Any] | None:
        try:
            # The clock is the fake's own, so `state` judges `exp`.
            options: Any = {"verify_exp": False, "require": ["jti", "id"]}
            return pyjwt.decode(jwt, self._secret, algorithms=["HS256"], options=options)
        except pyjwt.InvalidTokenError:
            return None


def _as_behaves(claims: dict[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    """Return the claims in the forms that `behaviour` gives them."""
    said = dict(claims)
    if behaviour.id_claim == "capitals":
        said["id"] = said["id"].upper()
    if behaviour.email_claim == "null":
        said["email"] = None
    match behaviour.exp_claim:
        case "milliseconds":
            said["exp"] *= 1000
        case "text":
            said["exp"] = str(said["exp"])
    left_out = {"email": behaviour.email_claim, "exp": behaviour.exp_claim}
    return {name: value for name, value in said.items() if left_out.get(name) != "absent"}
