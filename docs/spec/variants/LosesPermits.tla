--------------------------- MODULE LosesPermits ---------------------------
(* A probe that fails to connect, or is taken back before it is sent, keeps its permit: half-open, and nobody may probe. *)
\* Instead of: Recorded
\* Stands: KeepsPermits
\* Model: return
\* With: Instances = {i}
\* Breaks: TrafficReturns
EXTENDS Models

KeepsPermits(b, probe, outcome) ==
    IF b.state = "half_open" /\ probe /\ outcome = "success"
    THEN [b EXCEPT !.permits = @ - 1, !.successes = Least(SuccessThreshold, @ + 1)]
    ELSE IF b.state = "closed" /\ outcome = "failure" THEN [b EXCEPT !.failures = Least(FailureThreshold, @ + 1)] ELSE b
==============================================================================
