------------------------- MODULE OpenBreakerSends -------------------------
(* The breaker is asked when the request comes, and not again before it is sent. *)
\* Instead of: MaySend
\* Stands: AsksTheHealthOnly
\* Model: requests
\* Breaks: OpenSendsNothing
EXTENDS Models

AsksTheHealthOnly(r) == MayServe(service_health[requests[r].instance])
==============================================================================
