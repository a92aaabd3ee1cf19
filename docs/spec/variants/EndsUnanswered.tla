-------------------------- MODULE EndsUnanswered --------------------------
(* A request whose try has failed is cleared away, and its client hears nothing. *)
\* Instead of: Finish
\* Stands: ForgetsFailed
\* Model: requests
\* Breaks: NeverEndedUnanswered
EXTENDS Models

ForgetsFailed(r) ==
    /\ requests[r].phase \in {"answered", "gone", "failed"}
    /\ retries' = IF requests[r].charged THEN [retries EXCEPT ![requests[r].service] = @ - 1] ELSE retries
    /\ service_loads' = IF requests[r].instance = None THEN service_loads ELSE [service_loads EXCEPT ![requests[r].instance] = @ - 1]
    /\ circuit_breakers' = [circuit_breakers EXCEPT ![requests[r].service] = Recorded(@, requests[r].probe, "ignored")]
    /\ requests' = [requests EXCEPT ![r] = Nobody(requests[r].service)]
    /\ UNCHANGED <<world, request_queue>>
==============================================================================
