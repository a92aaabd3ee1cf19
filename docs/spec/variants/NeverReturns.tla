--------------------------- MODULE NeverReturns ---------------------------
(* An instance that has failed is not checked any more. *)
\* Instead of: MayBecome
\* Stands: FailedForGood
\* Model: return
\* With: Instances = {i}
\* Breaks: TrafficReturns
EXTENDS Models

FailedForGood(from, to, n, c) ==
    \/ from = "UNKNOWN" /\ to = "HEALTHY" /\ n >= 1
    \/ from # "FAILED" /\ to = "FAILED" /\ n <= -Fall
==============================================================================
