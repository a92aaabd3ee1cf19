--------------------------- MODULE FloodsTrials ---------------------------
(* An instance that has failed is tried again with all the traffic at once. *)
\* Instead of: LimitOf
\* Stands: SameForAll
\* Model: trial
\* Breaks: OneAtATimeOnTrial
EXTENDS Models

SameForAll(i) == InFlightMax
==============================================================================
