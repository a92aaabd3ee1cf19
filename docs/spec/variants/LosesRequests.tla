-------------------------- MODULE LosesRequests --------------------------
(* The deadline ends with the sending: an instance that hangs holds the request for ever. *)
\* Instead of: BreakOff
\* Stands: BreaksOffInTime
\* Model: liveness
\* With: Requests = {p}
\* Breaks: EveryRequestIsAnswered
EXTENDS Models

BreaksOffInTime(r, outcome) ==
    /\ requests[r].phase = "sent"
    /\ outcome = "failure"
    /\ ~TimeIsUp(r)
    /\ MayFail(condition[requests[r].instance])
    /\ Judge(r, outcome, "broken")
==============================================================================
