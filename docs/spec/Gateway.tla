------------------------------- MODULE Gateway -------------------------------
(* How Sluice sends requests to services that fail.

   For a reader who knows HTTP gateways but not TLA+: this is a program for a machine with memory (the VARIABLES) that makes one step
   after the other. Each step is one of the actions below. An action says when it can happen (lines without a prime) and what the
   memory is afterwards (a name with a prime, requests', is the value after the step). Where several can happen, any of them does; TLC
   tries all. /\ is "and", \/ is "or", \E "for some", \A "for all", [f EXCEPT ![x] = y] is f with the value at x replaced by y, and @
   stands for the old value. README.md beside this file says how to run it, and what was left out.

   One step is one thing that a worker does without being disturbed: one atomic operation on the memory that workers share, together
   with what it does on its own. Workers have no names here: a request lives on one worker from beginning to end, so to let the
   requests take their steps in any order is to let each be on a worker of its own.

   The way of a request, `phase`:

       done -Arrive-> accepted -Admit-> admitted -LoadBalance-> leased -RouteRequest-> sent -HeadArrives-> heard
                       ^  ^                |                    ^  |                   |  |                |  |
                       |  |        Enqueue +-> queued ----------+  | Withdraw,         |  | BreakOff       |  | Respond
                       |  |                      LoadBalance       | ConnectFails      |  v                |  v
                       |  |                                        v                   | broken            | answered
                       |  +---------GivePlaceBack------------- unsent <----------------+  |                |  |
                       |                                               ConnectionWasStale | GivePlaceBack  |  | Finish
                       |                                                                  v                |  v
                       +--------------------------Retry------------------------------- failed <------------+ done

   From accepted, admitted and queued, Refuse and Expire (its deadline) lead to refused; from there and from failed, AnswerFailure leads
   to answered. From each phase Abort leads out (the client left: gone, then Finish). *)
EXTENDS Breaker, Health, FiniteSets, TLC

CONSTANTS
    Services,           \* names
    Instances,          \* names
    Requests,           \* how many requests may be under way at once: a name is used again when its request is done
    Unsafe,             \* those of the Requests that must not be sent twice (POST without an idempotency key)
    None,               \* "no instance"
    InFlightMax,        \* the limit of an instance: requests that it gets at once
    QueueMax,           \* requests that wait for a service at most
    Deadlines,          \* deadlines that requests come with, in ticks
    Tries,              \* instances that are picked for one request at most
    RetryFloor,         \* retries under way that are always allowed
    RetryPercent,       \* retries under way that are allowed per 100 requests under way
    ProbeEarly,         \* TRUE: an open breaker is tested as soon as checks pass
    Overload,           \* TRUE: the gateway may also queue and refuse for reasons of its own (adaptive limit, priorities, memory)
    Aborts,             \* TRUE: clients may leave before they are answered
    FirstConditions,    \* the conditions that instances may be in at the start
    Failures,           \* the conditions that they may get into later
    FirstHealth         \* what the gateway holds of them at the start

(* InstancesOf(s) is overridden where there is more than one service. *)
InstancesOf(s) == Instances

VARIABLES
    condition,          \* of each instance: the truth, which the gateway does not see
    service_health,     \* of each instance: one of HealthStates
    evidence,           \* of each instance: what its health is concluded from
    circuit_breakers,   \* of each service
    request_queue,      \* of each service: the requests that wait. A set: which of them goes next is left open
    service_loads,      \* of each instance: requests that hold a place there. A number, as in the daemon
    requests,           \* of each request: where it stands
    retries,            \* of each service: retries whose outcome is not known yet. A number, as in the daemon
    breaches            \* rules that a step broke; written by Observe alone, read by no action

vars == <<condition, service_health, evidence, circuit_breakers, request_queue, service_loads, requests, retries, breaches>>

Phases == {"done", "accepted", "admitted", "queued", "leased", "sent", "heard", "broken", "unsent", "failed", "refused",
           "answered", "gone"}
Unanswered == Phases \ {"done", "answered", "gone"}

(* instance   holds a place there; None otherwise
   probe      holds a permit of the current half-open phase of the breaker
   tries      instances picked so far
   charged    is a retry that the budget counts
   left       ticks until the deadline; 0 once answered
   answers    answers given to the client *)
Nobody(s) ==
    [phase |-> "done", service |-> s, instance |-> None, probe |-> FALSE, tries |-> 0, charged |-> FALSE, left |-> 0, answers |-> 0]

Of(s) == {r \in Requests : requests[r].service = s}
UnderWay(s) == {r \in Of(s) : requests[r].phase # "done"}
Eligible(s) == {i \in InstancesOf(s) : MayServe(service_health[i])}
(* One on trial gets one request at a time. *)
LimitOf(i) == IF IsOnTrial(service_health[i]) THEN 1 ELSE InFlightMax
Room(s) == {i \in Eligible(s) : service_loads[i] < LimitOf(i)}
AllFailed(s) == \A i \in InstancesOf(s) : service_health[i] = "FAILED"
RetryBudget(s) == Most(RetryFloor, (RetryPercent * Cardinality(UnderWay(s))) \div 100)

Init ==
    /\ condition \in [Instances -> FirstConditions]
    /\ service_health = FirstHealth
    /\ evidence = [i \in Instances |-> NoEvidence]
    /\ circuit_breakers = [s \in Services |-> NewBreaker]
    /\ request_queue = [s \in Services |-> {}]
    /\ service_loads = [i \in Instances |-> 0]
    /\ requests = [r \in Requests |-> Nobody(CHOOSE s \in Services : TRUE)]
    /\ retries = [s \in Services |-> 0]
    /\ breaches = {}

------------------------------------------------------------------------------
(* Requests on their way. None of these actions looks at `condition`, except where a backend speaks. *)

world == <<condition, service_health, evidence>>
counts == <<request_queue, service_loads, retries>>

Arrive(r, s, deadline) ==
    /\ requests[r].phase = "done"
    /\ requests' = [requests EXCEPT ![r] = [Nobody(s) EXCEPT !.phase = "accepted", !.left = deadline]]
    /\ UNCHANGED <<world, counts, circuit_breakers>>

(* The breaker lets the request pass; a half-open one gives it a permit, in the same atomic step that counts it. *)
Admit(r) ==
    LET s == requests[r].service
        b == circuit_breakers[s]
    IN  /\ requests[r].phase = "accepted"
        /\ requests[r].tries < Tries
        /\ \/ /\ b.state = "closed"
              /\ requests' = [requests EXCEPT ![r].phase = "admitted"]
              /\ UNCHANGED circuit_breakers
           \/ /\ HasPermit(b)
              /\ requests' = [requests EXCEPT ![r].phase = "admitted", ![r].probe = TRUE]
              /\ circuit_breakers' = [circuit_breakers EXCEPT ![s] = PermitTaken(b)]
        /\ UNCHANGED <<world, counts>>

(* The breaker has half opened while the request waited, or while its connection was made: it is asked again, and may give a permit. *)
AdmitAgain(r) ==
    LET s == requests[r].service
    IN  /\ requests[r].phase \in {"queued", "leased"}
        /\ ~requests[r].probe
        /\ HasPermit(circuit_breakers[s])
        /\ requests' = [requests EXCEPT ![r].probe = TRUE]
        /\ circuit_breakers' = [circuit_breakers EXCEPT ![s] = PermitTaken(@)]
        /\ UNCHANGED <<world, counts>>

(* No eligible instance has room, or none is eligible yet: the request waits. Not while all have failed, for then there is nothing to
   wait for. *)
Enqueue(r) ==
    LET s == requests[r].service
    IN  /\ requests[r].phase = "admitted"
        /\ ~AllFailed(s)
        /\ Room(s) = {} \/ Overload
        /\ Cardinality(request_queue[s]) < QueueMax
        /\ requests' = [requests EXCEPT ![r].phase = "queued"]
        /\ request_queue' = [request_queue EXCEPT ![s] = @ \cup {r}]
        /\ UNCHANGED <<world, circuit_breakers, service_loads, retries>>

(* Picks an eligible instance with room and takes a place there, in one step. Which one is the algorithm's affair; all of them keep
   to this. A request leaves the queue with its place, not to look for one: else one that has just come could take the room, and the
   one that waited would go back to the queue, again and again. From here to RouteRequest lies the time to get a connection. *)
LoadBalance(r, i) ==
    /\ requests[r].phase \in {"admitted", "queued"}
    /\ i \in Room(requests[r].service)
    /\ requests' = [requests EXCEPT ![r].phase = "leased", ![r].instance = i, ![r].tries = @ + 1]
    /\ service_loads' = [service_loads EXCEPT ![i] = @ + 1]
    /\ request_queue' = [request_queue EXCEPT ![requests[r].service] = @ \ {r}]
    /\ UNCHANGED <<world, circuit_breakers, retries>>

(* While the connection was made, the instance may have failed and the breaker may have opened: both are asked again. *)
MaySend(r) ==
    LET b == circuit_breakers[requests[r].service]
    IN  /\ MayServe(service_health[requests[r].instance])
        /\ b.state = "closed" \/ (Probing(b) /\ requests[r].probe)

(* The first byte of the request is written; not once its time is up. *)
RouteRequest(r) ==
    /\ requests[r].phase = "leased"
    /\ MaySend(r)
    /\ requests[r].left > 0
    /\ requests' = [requests EXCEPT ![r].phase = "sent"]
    /\ UNCHANGED <<world, counts, circuit_breakers>>

(* What the breaker, and what the health of the instance, make of a try. An answer of 500, 502, 503 or 504 is an `error`: it speaks
   against the service, but the instance is there. `elsewhere` is a connection that could not be made while another instance can be
   tried: it speaks against the instance, and not yet against the service. *)
AtBreaker(outcome) ==
    CASE outcome = "success" -> "success" [] outcome \in {"error", "failure"} -> "failure" [] OTHER -> "ignored"
AtHealth(i, outcome) ==
    CASE outcome \in {"failure", "elsewhere"} -> RequestFailed(evidence[i])
      [] outcome \in {"success", "error"} /\ IsOnTrial(service_health[i]) -> TrialAnswered(evidence[i])
      [] OTHER -> evidence[i]

(* The outcome of the try is known, and is told at once: to the breaker, which gets its permit back, to the health, and to the retry
   budget. The place at the instance is kept: for the rest of the answer, or until GivePlaceBack. *)
Judge(r, outcome, phase) ==
    LET q == requests[r]
    IN  /\ circuit_breakers' = [circuit_breakers EXCEPT ![q.service] = Recorded(@, q.probe, AtBreaker(outcome))]
        /\ evidence' = [evidence EXCEPT ![q.instance] = AtHealth(q.instance, outcome)]
        /\ retries' = IF q.charged THEN [retries EXCEPT ![q.service] = @ - 1] ELSE retries
        /\ requests' = [requests EXCEPT ![r].phase = phase, ![r].probe = FALSE, ![r].charged = FALSE]
        /\ UNCHANGED <<condition, service_health, request_queue, service_loads>>

TimeIsUp(r) == requests[r].left = 0

(* It may not be sent any more: nothing is counted, and the request is decided anew. *)
Withdraw(r) ==
    /\ requests[r].phase = "leased"
    /\ ~MaySend(r) \/ TimeIsUp(r) \/ Overload
    /\ Judge(r, "ignored", "unsent")

(* No connection. *)
ConnectFails(r, outcome) ==
    /\ requests[r].phase = "leased"
    /\ outcome \in {"failure", "elsewhere"}
    /\ MayFail(condition[requests[r].instance])
    /\ Judge(r, outcome, "unsent")

(* The head of the backend's answer is here. *)
HeadArrives(r, outcome) ==
    /\ requests[r].phase = "sent"
    /\ outcome = "success" \/ (outcome = "error" /\ MayFail(condition[requests[r].instance]))
    /\ MayAnswer(condition[requests[r].instance])
    /\ Judge(r, outcome, "heard")

(* It goes to the client. The place is kept until the body has ended. *)
Respond(r) ==
    /\ requests[r].phase = "heard"
    /\ requests' = [requests EXCEPT ![r].phase = "answered", ![r].left = 0, ![r].answers = @ + 1]
    /\ UNCHANGED <<world, counts, circuit_breakers>>

(* A reset, or no answer in time; or the gateway's own reasons (the client's body is too large), which are nobody's fault. *)
BreakOff(r, outcome) ==
    /\ requests[r].phase = "sent"
    /\ \/ outcome = "failure" /\ (MayFail(condition[requests[r].instance]) \/ TimeIsUp(r))
       \/ outcome = "ignored" /\ (TimeIsUp(r) \/ Overload)
    /\ Judge(r, outcome, "broken")

(* The connection had been used before, and the backend had closed it when the request was written. That says nothing about the
   instance, and it is as though nothing had been written; but what must not be sent twice is not sent again. *)
ConnectionWasStale(r) ==
    /\ requests[r].phase = "sent"
    /\ MayFail(condition[requests[r].instance])
    /\ Judge(r, "ignored", IF r \in Unsafe THEN "broken" ELSE "unsent")

(* The place is given back before anything was answered. A request that nobody has read a byte of may go to another instance, and the
   budget is not asked; one that was written has failed, unless it may be retried. Of an answer whose head is here only the status is
   used: it is retried, or replaced. *)
GivePlaceBack(r) ==
    LET q == requests[r]
    IN  /\ \/ q.phase \in {"unsent", "broken"}
           \/ q.phase = "heard" /\ (MayFail(condition[q.instance]) \/ TimeIsUp(r) \/ Overload)
        /\ service_loads' = [service_loads EXCEPT ![q.instance] = @ - 1]
        /\ requests' = [requests EXCEPT ![r].phase = IF q.phase = "unsent" THEN "accepted" ELSE "failed", ![r].instance = None]
        /\ UNCHANGED <<world, circuit_breakers, request_queue, retries>>

(* A written request goes out again: only when that is safe, when tries are left, and within the budget. So does one that found no
   connection anywhere and looks once more. *)
Retry(r) ==
    LET q == requests[r]
        s == q.service
    IN  /\ (q.phase = "failed" /\ r \notin Unsafe) \/ (q.phase = "accepted" /\ q.tries > 0)
        /\ ~q.charged
        /\ q.tries < Tries
        /\ retries[s] < RetryBudget(s)
        /\ requests' = [requests EXCEPT ![r].phase = "accepted", ![r].charged = TRUE]
        /\ retries' = [retries EXCEPT ![s] = @ + 1]
        /\ UNCHANGED <<world, circuit_breakers, request_queue, service_loads>>

(* Nothing more is tried: what the request holds without a place is given back, and the gateway will answer itself. *)
GiveUp(r) ==
    LET q == requests[r]
    IN  /\ requests' = [requests EXCEPT ![r].phase = "refused", ![r].probe = FALSE, ![r].charged = FALSE]
        /\ circuit_breakers' = [circuit_breakers EXCEPT ![q.service] = Recorded(@, q.probe, "ignored")]
        /\ request_queue' = [request_queue EXCEPT ![q.service] = @ \ {r}]
        /\ retries' = IF q.charged THEN [retries EXCEPT ![q.service] = @ - 1] ELSE retries
        /\ UNCHANGED <<world, service_loads>>

(* The breaker does not admit it, it was tried often enough, nothing is eligible, or there is no room and the queue is full. *)
MayRefuse(r) ==
    LET q == requests[r]
        s == q.service
        b == circuit_breakers[s]
    IN  \/ q.phase = "accepted" /\ (q.tries = Tries \/ (b.state # "closed" /\ ~HasPermit(b)))
        \/ q.phase = "admitted" /\ Room(s) = {} /\ (Eligible(s) = {} \/ Cardinality(request_queue[s]) = QueueMax)
        \/ q.phase = "queued" /\ b.state = "open"
        \/ q.phase \in {"accepted", "admitted", "queued"} /\ (AllFailed(s) \/ Overload)

Refuse(r) == MayRefuse(r) /\ GiveUp(r)

(* The deadline, of a request that has no place. With one, Withdraw or BreakOff comes first. *)
Expire(r) == requests[r].phase \in {"accepted", "admitted", "queued"} /\ TimeIsUp(r) /\ GiveUp(r)

(* 502, 503 or 504. *)
AnswerFailure(r) ==
    /\ requests[r].phase \in {"failed", "refused"}
    /\ requests' = [requests EXCEPT ![r].phase = "answered", ![r].left = 0, ![r].answers = @ + 1]
    /\ UNCHANGED <<world, counts, circuit_breakers>>

(* The client leaves, also in the middle of the answer. *)
Abort(r) ==
    /\ requests[r].phase \in Unanswered \cup {"answered"}
    /\ requests' = [requests EXCEPT ![r].phase = "gone", ![r].left = 0]
    /\ request_queue' = [request_queue EXCEPT ![requests[r].service] = @ \ {r}]
    /\ UNCHANGED <<world, circuit_breakers, service_loads, retries>>

(* The end: everything that is still held is given back, once. A try that the client's leaving ends says nothing. *)
Finish(r) ==
    LET q == requests[r]
    IN  /\ q.phase \in {"answered", "gone"}
        /\ service_loads' = IF q.instance = None THEN service_loads ELSE [service_loads EXCEPT ![q.instance] = @ - 1]
        /\ circuit_breakers' = [circuit_breakers EXCEPT ![q.service] = Recorded(@, q.probe, "ignored")]
        /\ retries' = IF q.charged THEN [retries EXCEPT ![q.service] = @ - 1] ELSE retries
        /\ requests' = [requests EXCEPT ![r] = Nobody(q.service)]
        /\ UNCHANGED <<world, request_queue>>

------------------------------------------------------------------------------
(* Health and breakers. *)

Learns(i, e) ==
    /\ evidence' = [evidence EXCEPT ![i] = e]
    /\ UNCHANGED <<condition, service_health, circuit_breakers, counts, requests>>

(* An active check. *)
CheckPasses(i) == Checks /\ MayAnswer(condition[i]) /\ Learns(i, CheckPassed(evidence[i]))
CheckFails(i) == Checks /\ MayFail(condition[i]) /\ Learns(i, CheckFailed(evidence[i]))

(* Evidence that is no try's outcome: an answer broke off after its head, or a connection could not even be begun. *)
TrafficFails(i) == MayFail(condition[i]) /\ Learns(i, RequestFailed(evidence[i]))

UpdateServiceHealth(i, to) ==
    /\ MayBecome(service_health[i], to, evidence[i], condition[i])
    /\ service_health' = [service_health EXCEPT ![i] = to]
    /\ evidence' = [evidence EXCEPT ![i] = Remains(to, @)]
    /\ UNCHANGED <<condition, circuit_breakers, counts, requests>>

(* The permits of a half-open phase end with it, also in the hands of those who hold them: the daemon counts phases (an epoch in the
   breaker's word), and a permit of an earlier one is nothing. *)
WithoutPermits(s) == [r \in Requests |-> IF requests[r].service = s THEN [requests[r] EXCEPT !.probe = FALSE] ELSE requests[r]]

(* Opens. Passes before that do not bring an early test alone: one has to follow. *)
Opens(s, t, drawn) ==
    /\ circuit_breakers' = [circuit_breakers EXCEPT ![s] = Opened(@, t, drawn)]
    /\ requests' = WithoutPermits(s)
    /\ evidence' =
        [i \in Instances |-> IF i \in InstancesOf(s) THEN [evidence[i] EXCEPT !.passes = Least(@, Rise - 1)] ELSE evidence[i]]
    /\ UNCHANGED <<condition, service_health, counts>>

(* A probe that does not come back is a failed one, after a time that is left out. *)
ProbeIsLost(s) ==
    /\ circuit_breakers[s].state = "half_open"
    /\ \E r \in Of(s) :
        requests[r].probe /\ (Overload \/ (requests[r].instance # None /\ MayFail(condition[requests[r].instance])))

TripCircuitBreaker(s) ==
    /\ MayTrip(circuit_breakers[s]) \/ ProbeIsLost(s)
    /\ \E t \in OpenTimes(circuit_breakers[s]) : \E drawn \in Jittered(t) : Opens(s, t, drawn)

(* Its time is up, or checks have passed: half-open. *)
MayTest(s) ==
    /\ circuit_breakers[s].state = "open"
    /\ \/ circuit_breakers[s].remaining = 0
       \/ ProbeEarly /\ \E i \in Eligible(s) : evidence[i].passes = Rise

TestService(s) ==
    /\ MayTest(s)
    /\ circuit_breakers' = [circuit_breakers EXCEPT ![s] = HalfOpened(@)]
    /\ UNCHANGED <<world, counts, requests>>

CloseCircuitBreaker(s) ==
    /\ MayClose(circuit_breakers[s])
    /\ circuit_breakers' = [circuit_breakers EXCEPT ![s] = Closed(@)]
    /\ requests' = WithoutPermits(s)
    /\ UNCHANGED <<world, counts>>

(* The window slides on: old failures are forgotten. *)
WindowPasses(s) ==
    /\ circuit_breakers[s].state = "closed"
    /\ circuit_breakers[s].failures > 0
    /\ circuit_breakers' = [circuit_breakers EXCEPT ![s].failures = 0]
    /\ UNCHANGED <<world, counts, requests>>

------------------------------------------------------------------------------
(* The world: what happens to instances, and time. *)

Becomes(changed) == condition' = changed /\ UNCHANGED <<service_health, evidence, circuit_breakers, counts, requests>>

InstanceChanges(i, c) == condition[i] # c /\ Becomes([condition EXCEPT ![i] = c])
InstanceDies(i) == "dead" \in Failures /\ InstanceChanges(i, "dead")
InstanceErrs(i) == "erring" \in Failures /\ InstanceChanges(i, "erring")
InstanceSlows(i) == "slow" \in Failures /\ InstanceChanges(i, "slow")
InstanceFlaps(i) == "flapping" \in Failures /\ InstanceChanges(i, "flapping")
InstanceRecovers(i) == InstanceChanges(i, "up")

(* All of a service at once: a rack, a network, a bad release. *)
AllDie(s) ==
    /\ "dead" \in Failures
    /\ \E i \in InstancesOf(s) : condition[i] # "dead"
    /\ Becomes([i \in Instances |-> IF i \in InstancesOf(s) THEN "dead" ELSE condition[i]])

Fails(i) == InstanceDies(i) \/ InstanceErrs(i) \/ InstanceSlows(i) \/ InstanceFlaps(i)

(* Time. Each deadline and each open breaker has a clock of its own; they need not go alike, for the gateway decides nothing by
   comparing them. *)

(* What takes less than a tick: a timer that is due fires; a request that has just come is decided; while all instances have failed,
   nobody is left waiting (the 5 ms of rule 6); an instance that is up takes a connection and answers. *)
Urgent(r) ==
    LET q == requests[r]
    IN  \/ q.left = 0
        \/ q.phase = "accepted" /\ q.tries = 0
        \/ q.phase \in {"admitted", "heard", "broken", "unsent"}
        \/ q.phase = "queued" /\ AllFailed(q.service)
        \/ q.phase \in {"leased", "sent"} /\ condition[q.instance] = "up"

DeadlineNears(r) ==
    /\ requests[r].phase \in Unanswered
    /\ ~Urgent(r)
    /\ requests' = [requests EXCEPT ![r].left = @ - 1]
    /\ UNCHANGED <<world, counts, circuit_breakers>>

OpenTimePasses(s) ==
    /\ circuit_breakers[s].remaining > 0
    /\ circuit_breakers' = [circuit_breakers EXCEPT ![s].remaining = @ - 1]
    /\ UNCHANGED <<world, counts, requests>>

------------------------------------------------------------------------------
(* All steps. Observe stands beside them and notes what a step did that no rule allows. It is not part of the gateway: the actions do
   not read it, so that a mistake in an action cannot hide itself. *)

Sends(r) == requests[r].phase # "sent" /\ requests'[r].phase = "sent"

Broken == {
    <<"sent to a FAILED instance", \E r \in Requests :
        Sends(r) /\ service_health[requests[r].instance] = "FAILED">>,
    <<"sent while the breaker was open", \E r \in Requests :
        Sends(r) /\ circuit_breakers[requests[r].service].state = "open">>,
    <<"sent while half-open, without a permit", \E r \in Requests :
        Sends(r) /\ circuit_breakers[requests[r].service].state = "half_open" /\ ~requests[r].probe>>,
    <<"ended without an answer", \E r \in Requests :
        requests[r].phase \in Unanswered /\ requests'[r].phase = "done">>,
    <<"waited while all had failed", \E s \in Services :
        AllFailed(s) /\ ~(request_queue'[s] \subseteq request_queue[s])>>,
    <<"retried beyond the budget", \E r \in Requests :
        ~requests[r].charged /\ requests'[r].charged /\ retries[requests[r].service] >= RetryBudget(requests[r].service)>>,
    <<"an unsafe request sent twice", \E r \in Unsafe :
        requests[r].phase \in {"sent", "heard", "broken", "failed"} /\ requests'[r].phase = "accepted">>,
    <<"more than one request on a trial", \E i \in Instances :
        IsOnTrial(service_health[i]) /\ service_loads[i] > 0 /\ service_loads'[i] > service_loads[i]>>}

Observe == breaches' = breaches \cup {b[1] : b \in {x \in Broken : x[2]}}

Step ==
    \/ \E r \in Requests :
        \/ \E s \in Services : \E d \in Deadlines : Arrive(r, s, d)
        \/ \E i \in Instances : LoadBalance(r, i)
        \/ \E outcome \in {"failure", "elsewhere"} : ConnectFails(r, outcome)
        \/ \E outcome \in {"success", "error"} : HeadArrives(r, outcome)
        \/ \E outcome \in {"failure", "ignored"} : BreakOff(r, outcome)
        \/ Admit(r) \/ AdmitAgain(r) \/ Enqueue(r) \/ RouteRequest(r) \/ Withdraw(r) \/ ConnectionWasStale(r) \/ GivePlaceBack(r)
        \/ Respond(r) \/ Retry(r) \/ Refuse(r) \/ Expire(r) \/ AnswerFailure(r) \/ Finish(r) \/ DeadlineNears(r)
        \/ Aborts /\ Abort(r)
    \/ \E i \in Instances :
        \/ CheckPasses(i) \/ CheckFails(i) \/ TrafficFails(i)
        \/ \E to \in HealthStates : UpdateServiceHealth(i, to)
        \/ Fails(i) \/ InstanceRecovers(i)
    \/ \E s \in Services :
        \/ TripCircuitBreaker(s) \/ TestService(s) \/ CloseCircuitBreaker(s) \/ WindowPasses(s)
        \/ AllDie(s)
        \/ OpenTimePasses(s)

Next == Step /\ Observe

------------------------------------------------------------------------------
(* What must come to pass if it can. WF(A): if A stays possible, it happens. SF(A): if it becomes possible again and again, it happens.
   Nothing is said of clients (they need not come, nor leave), of instances (they need neither fail nor recover), nor of the breaker
   (it need not open while it counts failures). *)

(* The steps that a worker has to make for a request: its event loop turns, and whatever is ready gets its turn. It owes nothing to a
   request that waits in the queue without room, or for an instance that is not up; these have their deadline. *)
WorkerServes(r) ==
    \/ Admit(r) \/ Enqueue(r) \/ RouteRequest(r) \/ Withdraw(r) \/ GivePlaceBack(r) \/ Respond(r)
    \/ Retry(r) \/ Refuse(r) \/ Expire(r) \/ AnswerFailure(r) \/ Finish(r)
    \/ \E i \in Instances : LoadBalance(r, i)
    \/ TimeIsUp(r) /\ BreakOff(r, "failure")
    \/ requests[r].phase = "sent" /\ condition[requests[r].instance] = "up" /\ HeadArrives(r, "success")

Fairness ==
    /\ \A r \in Requests : WF_vars(WorkerServes(r) /\ Observe)
    (* Clocks go on. Strong for deadlines: an instance may come up for a moment and be gone before it answers, again and again, and in
       the model that takes no time. *)
    /\ \A r \in Requests : SF_vars(DeadlineNears(r) /\ Observe)
    /\ \A s \in Services : WF_vars(OpenTimePasses(s) /\ Observe)
    (* Each instance is checked again and again: every 30 s at the least, back-off included. A check of an instance that is dead ends
       with its own timeout. *)
    /\ \A i \in Instances : WF_vars((condition[i] = "up" /\ evidence[i].passes < Rise /\ CheckPasses(i)) /\ Observe)
    /\ \A i \in Instances : WF_vars((condition[i] = "dead" /\ evidence[i].failures < Fall /\ CheckFails(i)) /\ Observe)
    (* A verdict is drawn in the same call that hands in the last piece of evidence; as a step of its own it is certain. *)
    /\ \A i \in Instances : WF_vars((\E to \in {"HEALTHY", "FAILED"} : UpdateServiceHealth(i, to)) /\ Observe)
    (* Without checks, whoever has failed gets another trial. *)
    /\ \A i \in Instances : WF_vars(UpdateServiceHealth(i, "UNKNOWN") /\ Observe)
    (* A breaker whose time is up is tested: the next request that asks it finds it half-open, and so does the status page. A probe that
       failed opens it, and enough that succeeded close it, in the call that hands in the outcome. *)
    /\ \A s \in Services : WF_vars(TestService(s) /\ Observe)
    /\ \A s \in Services : WF_vars((circuit_breakers[s].state = "half_open" /\ MayTrip(circuit_breakers[s]) /\ TripCircuitBreaker(s)) /\ Observe)
    /\ \A s \in Services : WF_vars(CloseCircuitBreaker(s) /\ Observe)
    /\ \A s \in Services : WF_vars(WindowPasses(s) /\ Observe)

Spec == Init /\ [][Next]_vars /\ Fairness

(* With clients that keep coming, which only the return of traffic needs: nobody can be a probe when nobody comes. *)
Traffic == \A r \in Requests : WF_vars((\E s \in Services : \E d \in Deadlines : Arrive(r, s, d)) /\ Observe)
SpecWithTraffic == Spec /\ Traffic

------------------------------------------------------------------------------
(* The rules. *)

TypeOK ==
    /\ condition \in [Instances -> Conditions]
    /\ service_health \in [Instances -> HealthStates]
    /\ \A i \in Instances : IsEvidence(evidence[i])
    /\ \A s \in Services : IsBreaker(circuit_breakers[s]) /\ Cardinality(request_queue[s]) <= QueueMax
    /\ \A r \in Requests : requests[r].phase \in Phases /\ requests[r].tries \in 0..Tries

(* 1. No request is sent to an instance that is FAILED at the moment of sending. *)
NeverSentToFailed == "sent to a FAILED instance" \notin breaches

(* Nor more than one at a time to an instance on trial. *)
OneAtATimeOnTrial == "more than one request on a trial" \notin breaches

(* 2. An open breaker sends no request; half-open sends no more than its probes. *)
OpenSendsNothing == "sent while the breaker was open" \notin breaches
HalfOpenSendsOnlyProbes ==
    /\ "sent while half-open, without a permit" \notin breaches
    /\ \A s \in Services : Cardinality({r \in Of(s) : requests[r].probe}) <= HalfOpenMax

(* 3. While an eligible instance is idle, none is over its limit. *)
NoneOverItsLimitWhileOneIsIdle ==
    \A s \in Services : (\E i \in Eligible(s) : service_loads[i] = 0) => \A i \in InstancesOf(s) : service_loads[i] <= InFlightMax

(* 4. Every accepted request gets exactly one answer within its deadline: never two, none late, none without, and in the end one. *)
NeverAnsweredTwice == \A r \in Requests : requests[r].answers <= 1
NeverLate == \A r \in Requests : requests[r].left >= 0
NeverEndedUnanswered == "ended without an answer" \notin breaches
EveryRequestIsAnswered == \A r \in Requests : requests[r].phase \in Unanswered ~> requests[r].phase \notin Unanswered

(* 5. An open breaker always comes to be tested again. *)
OpenIsTestedAgain == \A s \in Services : circuit_breakers[s].state = "open" ~> circuit_breakers[s].state = "half_open"

(* 6. When all instances have failed, the queue does not grow and nobody waits; when they come back, so does the traffic. That it
   comes back without a stampede is rules 2 and 3: through probes first, and never more than the limit at one instance. *)
QueueDoesNotGrowWhileAllFailed == "waited while all had failed" \notin breaches
AllFailedIsAnswered ==
    \A r \in Requests :
        (requests[r].phase \in {"accepted", "admitted", "queued"} /\ AllFailed(requests[r].service))
            ~> (requests[r].phase \notin Unanswered \/ ~AllFailed(requests[r].service))
TrafficReturns ==
    \A s \in Services :
        <>[](\A i \in InstancesOf(s) : condition[i] = "up")
            => <>[](circuit_breakers[s].state = "closed" /\ \A i \in InstancesOf(s) : service_health[i] = "HEALTHY")

(* 7. Retries never add more than the budget, and what must not be sent twice is not. *)
RetriesWithinBudget == "retried beyond the budget" \notin breaches
UnsafeIsSentOnce == "an unsafe request sent twice" \notin breaches

(* 8. Counts return to zero on every path: each is at all times the number of those who hold what it counts. *)
CountsAreRight ==
    /\ \A i \in Instances : service_loads[i] = Cardinality({r \in Requests : requests[r].instance = i})
    /\ \A s \in Services :
        /\ request_queue[s] = {r \in Of(s) : requests[r].phase = "queued"}
        /\ circuit_breakers[s].permits = Cardinality({r \in Of(s) : requests[r].probe})
        /\ retries[s] = Cardinality({r \in Of(s) : requests[r].charged})
    /\ \A r \in Requests : requests[r].phase = "done" => requests[r] = Nobody(requests[r].service)
==============================================================================
