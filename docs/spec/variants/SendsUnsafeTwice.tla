------------------------- MODULE SendsUnsafeTwice -------------------------
(* The method is not looked at: a POST that timed out is sent again. *)
\* Instead of: Retry
\* Stands: RetriesAnything
\* Model: requests
\* Breaks: UnsafeIsSentOnce
EXTENDS Models

RetriesAnything(r) ==
    /\ requests[r].phase = "failed"
    /\ ~requests[r].charged
    /\ requests[r].tries < Tries
    /\ retries[requests[r].service] < RetryBudget(requests[r].service)
    /\ requests' = [requests EXCEPT ![r].phase = "accepted", ![r].charged = TRUE]
    /\ retries' = IF requests[r].charged THEN retries ELSE [retries EXCEPT ![requests[r].service] = @ + 1]
    /\ UNCHANGED <<world, circuit_breakers, request_queue, service_loads>>
==============================================================================
