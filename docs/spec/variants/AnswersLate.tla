--------------------------- MODULE AnswersLate ---------------------------
(* No timer is set for the deadline of a request that waits. *)
\* Instead of: Urgent
\* Stands: NoTimer
\* Model: requests
\* Breaks: NeverLate
EXTENDS Models

NoTimer(r) == requests[r].phase = "accepted"
==============================================================================
