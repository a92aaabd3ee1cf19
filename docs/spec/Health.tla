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
    Fall,   \* failures in a row that make one FAILED
    Checks  \* FALSE: no active checks; a FAILED instance becomes UNKNOWN after a while, and a request tries it

HealthStates == {"UNKNOWN", "HEALTHY", "DEGRADED", "FAILED"}

(* up        answers every request and passes every check, within a tick
   erring    answers some requests with 500 or a reset; checks pass or fail
   slow      answers late or never; checks pass or fail
   dead      answers nothing: refuses connections, or accepts and hangs
   flapping  whatever it likes, each time anew *)
Conditions == {"up", "erring", "slow", "dead", "flapping"}

MayAnswer(c) == c # "dead"
MayFail(c) == c # "up"

(* What is known of an instance:

   passes     checks that passed in a row
   failures   failures in a row, of checks and of requests

   A check that passes ends both rows of failures. A request that is answered ends none: one that answers 200 to some and hangs for
   others would never be found. A request that fails says nothing of checks, so it leaves their row alone. *)
IsEvidence(e) == e.passes \in 0..Rise /\ e.failures \in 0..Fall
NoEvidence == [passes |-> 0, failures |-> 0]
CheckPassed(e) == [passes |-> IF e.passes < Rise THEN e.passes + 1 ELSE Rise, failures |-> 0]
CheckFailed(e) == [passes |-> 0, failures |-> IF e.failures < Fall THEN e.failures + 1 ELSE Fall]
RequestFailed(e) == [e EXCEPT !.failures = IF @ < Fall THEN @ + 1 ELSE Fall]
(* On trial, an answer is what a check that passes is elsewhere. *)
TrialAnswered(e) == [CheckPassed(e) EXCEPT !.passes = IF @ < 1 THEN 1 ELSE @]

(* Whether health `from` may become `to`, with this evidence, in this condition. Without checks a FAILED instance gets its trial after
   a back-off, which is left out: at any time. *)
MayBecome(from, to, e, c) ==
    \/ from = "UNKNOWN" /\ to = "HEALTHY" /\ e.passes >= 1
    \/ from = "FAILED" /\ to = "HEALTHY" /\ Checks /\ e.passes >= Rise
    \/ from = "FAILED" /\ to = "UNKNOWN" /\ ~Checks
    \/ from \in {"UNKNOWN", "HEALTHY", "DEGRADED"} /\ to = "FAILED" /\ e.failures >= Fall
    \/ from = "HEALTHY" /\ to = "DEGRADED" /\ c \in {"slow", "erring", "flapping"}
    \/ from = "DEGRADED" /\ to = "HEALTHY" /\ c \in {"up", "flapping"}

(* What remains of the evidence when it has become `to`. One failure ends a trial. *)
Remains(to, e) ==
    CASE to = "FAILED" -> [e EXCEPT !.passes = 0]
      [] to = "UNKNOWN" -> [passes |-> 0, failures |-> Fall - 1]
      [] OTHER -> e

IsOnTrial(h) == h = "UNKNOWN" /\ ~Checks
MayServe(h) == h \in {"HEALTHY", "DEGRADED"} \/ IsOnTrial(h)
===============================================================================
