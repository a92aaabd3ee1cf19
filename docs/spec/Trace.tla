-------------------------------- MODULE Trace --------------------------------
(* Is a recorded run a behaviour of the specification?

   Tests/Conformance/replay.py turns a log (README.md: the format) into the constants below and lets TLC search for a behaviour of
   Gateway that makes the recorded transitions. Each line of the log names an action and what it must have done; a line that Gateway
   does not allow where it stands has no successor, and the search ends before the log does.

   Lines of one source (a worker, the control thread) happened in the order in which they were written. Between sources only the time
   tells, and it is read a moment before or after the transition itself: lines of different sources that lie no more than Slack apart
   may have happened in either order, and TLC tries both. *)
EXTENDS Gateway, Sequences

CONSTANTS
    Sources,    \* names; one of them is the clock, whose lines replay.py adds: one for each tick
    Lines,      \* source -> sequence of lines
    Service,    \* the service of this log: a log of several services is replayed one service at a time
    Slack       \* in the unit of the lines' `at`

VARIABLES
    position,   \* source -> lines that have happened
    length      \* how many that is in all

Left(w) == position[w] < Len(Lines[w])
Line(w) == Lines[w][position[w] + 1]
InTurn(w) == Left(w) /\ \A v \in Sources : Left(v) => Line(w).at <= Line(v).at + Slack

(* A tick: all clocks go on by one. It stands for DeadlineNears of each request that waits and OpenTimePasses of each breaker. Of what
   is Urgent in Gateway only deadlines hold it up: a tick may fall between a request's coming and its being decided. *)
TickOfAll ==
    /\ \A r \in Requests : requests[r].phase \in Unanswered => requests[r].left > 0
    /\ requests' = [r \in Requests |-> IF requests[r].phase \in Unanswered THEN [requests[r] EXCEPT !.left = @ - 1] ELSE requests[r]]
    /\ circuit_breakers' = [s \in Services |-> [circuit_breakers[s] EXCEPT !.remaining = Most(0, @ - 1)]]
    /\ UNCHANGED <<world, counts>>

(* The outcome of a try is known. What step that is depends on how far the request had come. *)
Ends(r, outcome) ==
    CASE requests[r].phase = "leased" /\ outcome \in {"failure", "elsewhere"} -> ConnectFails(r, outcome)
      [] requests[r].phase = "leased" /\ outcome \in {"ignored", "stale"} -> Withdraw(r)
      [] requests[r].phase = "sent" /\ outcome \in {"success", "error"} -> HeadArrives(r, outcome)
      [] requests[r].phase = "sent" /\ outcome \in {"failure", "ignored"} -> BreakOff(r, outcome)
      [] requests[r].phase = "sent" /\ outcome = "stale" -> ConnectionWasStale(r)
      [] OTHER -> FALSE

(* `open` is in whole ticks, rounded down. *)
BreakerChanges(l) ==
    LET b == circuit_breakers[Service]
    IN  /\ b.state = l.from
        /\ CASE l.to = "open" ->
                /\ MayTrip(b) \/ ProbeIsLost(Service)
                /\ \E t \in OpenTimes(b) : {l.open, l.open + 1} \cap Jittered(t) # {} /\ Opens(Service, t, l.open)
             [] l.to = "half_open" -> TestService(Service)
             [] l.to = "closed" -> CloseCircuitBreaker(Service)
             [] OTHER -> FALSE

Happens(l) ==
    CASE l.event = "accept" -> Arrive(l.request, Service, l.deadline)
      [] l.event = "admit" ->
            IF requests[l.request].phase = "accepted"
            THEN Admit(l.request) /\ requests'[l.request].probe = l.probe
            ELSE l.probe /\ AdmitAgain(l.request)
      [] l.event = "queue" -> Enqueue(l.request)
      [] l.event = "lease" -> LoadBalance(l.request, l.instance)
      [] l.event = "route" -> requests[l.request].instance = l.instance /\ RouteRequest(l.request)
      [] l.event = "outcome" -> requests[l.request].instance = l.instance /\ Ends(l.request, l.outcome)
      [] l.event = "release" -> requests[l.request].instance = l.instance /\ (GivePlaceBack(l.request) \/ Finish(l.request))
      [] l.event = "retry" -> Retry(l.request)
      [] l.event = "refuse" -> Refuse(l.request) \/ Expire(l.request)
      [] l.event = "answer" -> Respond(l.request) \/ AnswerFailure(l.request)
      [] l.event = "abort" -> Abort(l.request)
      [] l.event = "finish" -> requests[l.request].instance = None /\ Finish(l.request)
      [] l.event = "evidence" -> TrafficFails(l.instance)
      [] l.event = "check" -> IF l.passed THEN CheckPasses(l.instance) ELSE CheckFails(l.instance)
      [] l.event = "health" -> service_health[l.instance] = l.from /\ UpdateServiceHealth(l.instance, l.to)
      [] l.event = "breaker" -> BreakerChanges(l)
      [] l.event = "tick" -> TickOfAll

TraceInit == Init /\ position = [w \in Sources |-> 0] /\ length = 0

TraceNext ==
    \E w \in Sources :
        /\ InTurn(w)
        /\ Happens(Line(w))
        /\ Observe
        /\ position' = [position EXCEPT ![w] = @ + 1]
        /\ length' = length + 1

(* The rules are not checked again here: every behaviour of Gateway keeps them, which is what the models show. It would take most of
   the time. *)
NothingObserved == UNCHANGED breaches

(* Not a rule: says how far the search has come, for replay.py to read. The log is accepted when all of it has happened. *)
Watch == IF length > TLCGet(1) THEN TLCSet(1, length) /\ PrintT(<<"reached", length, position>>) ELSE TRUE
ASSUME TLCSet(1, 0)
==============================================================================
