-------------------------------- MODULE Models --------------------------------
(* What the models in models/ give to the constants of Gateway that a .cfg file cannot write down. *)
EXTENDS Gateway

AllUnknown == [i \in Instances |-> "UNKNOWN"]
AllHealthy == [i \in Instances |-> "HEALTHY"]

(* Instances are alike, and so are requests that may be sent twice: exchanging their names gives no new state. *)
Alike == Permutations(Instances) \cup Permutations(Requests \ Unsafe)

(* Two services, each with an instance of its own. *)
CONSTANTS first, second, one, other
TwoServices(s) == IF s = first THEN {one} ELSE {other}
===============================================================================
