-------------------------- MODULE RoutesToFailed --------------------------
(* The instance was eligible when it was picked; nobody asks again when the connection is there. *)
\* Instead of: MaySend
\* Stands: AsksTheBreakerOnly
\* Model: requests
\* Breaks: NeverSentToFailed
EXTENDS Models

AsksTheBreakerOnly(r) ==
    LET b == circuit_breakers[requests[r].service]
    IN  b.state = "closed" \/ (Probing(b) /\ requests[r].probe)
==============================================================================
