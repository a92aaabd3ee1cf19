----------------------- MODULE QueuesWhileAllFailed -----------------------
(* With nothing eligible there is no room, so the request is queued. *)
\* Instead of: Enqueue
\* Stands: QueuesAlways
\* Model: requests
\* Breaks: QueueDoesNotGrowWhileAllFailed
EXTENDS Models

QueuesAlways(r) ==
    LET s == requests[r].service
    IN  /\ requests[r].phase = "admitted"
        /\ Room(s) = {}
        /\ Cardinality(request_queue[s]) < QueueMax
        /\ requests' = [requests EXCEPT ![r].phase = "queued"]
        /\ request_queue' = [request_queue EXCEPT ![s] = @ \cup {r}]
        /\ UNCHANGED <<world, circuit_breakers, service_loads, retries>>
==============================================================================
