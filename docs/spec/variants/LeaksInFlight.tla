-------------------------- MODULE LeaksInFlight --------------------------
(* A client leaves: its request is cleared away, and the place that it held at the instance is not given back. *)
\* Instead of: Abort
\* Stands: LeavesAtOnce
\* Model: requests
\* Breaks: CountsAreRight
EXTENDS Models

LeavesAtOnce(r) ==
    /\ requests[r].phase \in Unanswered
    /\ requests' = [requests EXCEPT ![r] = Nobody(requests[r].service)]
    /\ request_queue' = [request_queue EXCEPT ![requests[r].service] = @ \ {r}]
    /\ UNCHANGED <<world, circuit_breakers, service_loads, retries>>
==============================================================================
