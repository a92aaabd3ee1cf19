---------------------------- MODULE RetryStorm ----------------------------
(* Tries are limited for each request, and not for all of them together. *)
\* Instead of: Retry
\* Stands: RetriesAtWill
\* Model: requests
\* With: Unsafe = {}; InFlightMax = 2; Aborts = FALSE
\* Breaks: RetriesWithinBudget
EXTENDS Models

RetriesAtWill(r) ==
    /\ requests[r].phase = "failed"
    /\ ~requests[r].charged
    /\ requests[r].tries < Tries
    /\ requests' = [requests EXCEPT ![r].phase = "accepted", ![r].charged = TRUE]
    /\ retries' = IF requests[r].charged THEN retries ELSE [retries EXCEPT ![requests[r].service] = @ + 1]
    /\ UNCHANGED <<world, circuit_breakers, request_queue, service_loads>>
==============================================================================
