-------------------------- MODULE LosesRequests --------------------------
(* The deadline ends with the sending: an instance that hangs holds the request for ever. *)
\* Instead of: Expire
\* Stands: ExpiresUnsent
\* Model: liveness
\* With: Requests = {p}
\* Breaks: EveryRequestIsAnswered
EXTENDS Models

ExpiresUnsent(r) == requests[r].phase \in Unanswered \ {"sent"} /\ requests[r].left = 0 /\ AnswerItself(r)
==============================================================================
