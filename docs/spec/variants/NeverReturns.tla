--------------------------- MODULE NeverReturns ---------------------------
(* An instance that has failed is not checked any more. *)
\* Instead of: MayBecome
\* Stands: FailedForGood
\* Model: return
\* With: Instances = {i}
\* Breaks: TrafficReturns
EXTENDS Models

FailedForGood(from, to, e, c) ==
    \/ from = "UNKNOWN" /\ to = "HEALTHY" /\ e.passes >= 1
    \/ from # "FAILED" /\ to = "FAILED" /\ e.failures >= Fall
==============================================================================
