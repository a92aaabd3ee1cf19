-------------------------------- MODULE Health --------------------------------
(* What the gateway holds of an instance, and what makes it change its mind.

   Two things are kept apart: the *condition* of an instance, which is the truth and which the gateway cannot see, and its *health*,
   which the gateway concludes from checks and from traffic. No variables here either; Gateway.tla applies these.

   Left out: intervals, jitter and back-off of checks (a check may happen at any time), the arithmetic of latencies and error rates
   (an instance may become DEGRADED when there is something to measure), ejection and drain (both only take instances out of the
   choice, which is always allowed here). *)
EXTENDS Integers

CONSTANTS
    Rise,   \* checks that must pass, one after the other, for a FAILED instance to become HEALTHY
    Fall    \* failures in a row that make one FAILED

HealthStates == {"UNKNOWN", "HEALTHY", "DEGRADED", "FAILED"}

(* up        answers every request and passes every check, within a tick
   erring    answers some requests with 500 or a reset; checks pass or fail
   slow      answers late or never; checks pass or fail
   dead      answers nothing: refuses connections, or accepts and hangs
   flapping  whatever it likes, each time anew *)
Conditions == {"up", "erring", "slow", "dead", "flapping"}

MayAnswer(c) == c # "dead"
MayFail(c) == c # "up"

(* Evidence in a row: n > 0 checks passed, n < 0 checks or requests failed. A success of a request is no evidence for an instance: one
   that answers 200 to some and hangs for others would never be found. *)
Streaks == (-Fall)..Rise
Passed(n) == IF n < 0 THEN 1 ELSE IF n < Rise THEN n + 1 ELSE Rise
Failed(n) == IF n > 0 THEN -1 ELSE IF n > -Fall THEN n - 1 ELSE -Fall

(* Whether health `from` may become `to`, with so much evidence, in this condition. *)
MayBecome(from, to, n, c) ==
    \/ from = "UNKNOWN" /\ to = "HEALTHY" /\ n >= 1
    \/ from = "FAILED" /\ to = "HEALTHY" /\ n >= Rise
    \/ from \in {"UNKNOWN", "HEALTHY", "DEGRADED"} /\ to = "FAILED" /\ n <= -Fall
    \/ from = "HEALTHY" /\ to = "DEGRADED" /\ c \in {"slow", "erring", "flapping"}
    \/ from = "DEGRADED" /\ to = "HEALTHY" /\ c \in {"up", "flapping"}

MayServe(h) == h \in {"HEALTHY", "DEGRADED"}
===============================================================================
