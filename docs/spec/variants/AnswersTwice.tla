--------------------------- MODULE AnswersTwice ---------------------------
(* The deadline answers 504, and the exchange with the backend goes on: its answer comes too. *)
\* Instead of: Expire
\* Stands: AnswersAndWaits
\* Model: requests
\* Breaks: NeverAnsweredTwice
EXTENDS Models

AnswersAndWaits(r) ==
    /\ requests[r].phase = "sent"
    /\ requests[r].left = 0
    /\ requests' = [requests EXCEPT ![r].answers = @ + 1]
    /\ UNCHANGED <<world, counts, circuit_breakers>>
==============================================================================
