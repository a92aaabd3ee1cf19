------------------------- MODULE NeverTestsAgain -------------------------
(* An open breaker waits for a check to pass, whatever the time. Where the service is not checked, none does. *)
\* Instead of: MayTest
\* Stands: OnlyByChecks
\* Model: liveness
\* With: Requests = {p}
\* Breaks: OpenIsTestedAgain
EXTENDS Models

OnlyByChecks(s) == circuit_breakers[s].state = "open" /\ \E i \in Eligible(s) : evidence[i].passes = Rise
==============================================================================
