-------------------------- MODULE BusyWhileIdle --------------------------
(* The balancer asks whether an instance is eligible, and not whether it has room. *)
\* Instead of: Room
\* Stands: AnyEligible
\* Model: balancing
\* Breaks: NoneOverItsLimitWhileOneIsIdle
EXTENDS Models

AnyEligible(s) == Eligible(s)
==============================================================================
