-------------------------- MODULE TooManyProbes --------------------------
(* A half-open breaker admits whoever comes: permits are counted, and not limited. *)
\* Instead of: HasPermit
\* Stands: IsHalfOpen
\* Model: quick-two
\* Breaks: HalfOpenSendsOnlyProbes
EXTENDS Models

IsHalfOpen(b) == Probing(b)
==============================================================================
