----------------------- MODULE WaitsWhileAllFailed -----------------------
(* Newcomers are refused while all instances have failed; those who were in the queue before stay there. *)
\* Instead of: MayRefuse
\* Stands: RefusesNewcomers
\* Model: liveness
\* With: Aborts = FALSE; Requests = {p}; InFlightMax = 0
\* Breaks: AllFailedIsAnswered
EXTENDS Models

RefusesNewcomers(r) ==
    LET q == requests[r]
        s == q.service
        b == circuit_breakers[s]
    IN  \/ q.phase = "accepted" /\ (q.tries = Tries \/ (b.state # "closed" /\ ~HasPermit(b)))
        \/ q.phase = "admitted" /\ Room(s) = {} /\ Cardinality(request_queue[s]) = QueueMax
        \/ q.phase \in {"accepted", "admitted"} /\ AllFailed(s)
==============================================================================
