------------------------------- MODULE Breaker -------------------------------
(* What a circuit breaker is, as a value, and what it becomes.

   A breaker stands before a service. `closed` admits every request, `open` none, `half_open` only probes: at most HalfOpenMax at a
   time over all workers. This module has no variables: each operator takes a breaker `b` and gives the one that follows, as the
   daemon does with one atomic word. Gateway.tla says when each is applied.

   Left out: how the evidence is weighed. The daemon opens after consecutive failures, or by the share of failures or of slow calls
   in a sliding window. Here a breaker may open once FailureThreshold failures were counted since it closed, the least number that
   any of the three triggers can do with (0 where slow calls alone open it). So everything the daemon may do is allowed here, and
   more. *)
EXTENDS Integers

CONSTANTS
    FailureThreshold,   \* the least number of failures that can open a closed breaker
    SuccessThreshold,   \* probes that must succeed, one after the other, to close a half-open one
    HalfOpenMax,        \* probes under way at once
    OpenTime,           \* ticks that a breaker stays open the first time
    OpenTimeMax,        \* doubling ends here
    JitterPercent       \* by how much the time drawn may differ from the time due

BreakerStates == {"closed", "open", "half_open"}

Least(a, b) == IF a < b THEN a ELSE b
Most(a, b) == IF a > b THEN a ELSE b

(* failures    closed: counted so far, no further than the threshold; half_open: 1 once a probe failed
   successes   half_open: probes that succeeded
   permits     half_open: probes under way. A number, as in the daemon: that it is the right one is to be checked
   remaining   open: ticks until it may be tested
   open_time   how long it was open last, before jitter *)
NewBreaker ==
    [state |-> "closed", failures |-> 0, successes |-> 0, permits |-> 0, remaining |-> 0, open_time |-> OpenTime]

IsBreaker(b) ==
    /\ b.state \in BreakerStates
    /\ b.failures \in 0..FailureThreshold
    /\ b.successes \in 0..SuccessThreshold
    /\ b.permits \in 0..HalfOpenMax
    /\ b.remaining \in 0..(OpenTimeMax + (OpenTimeMax * JitterPercent) \div 100)
    /\ b.open_time \in OpenTime..OpenTimeMax

(* A half-open breaker in which a probe has failed is about to open again, and gives no more permits. *)
Probing(b) == b.state = "half_open" /\ b.failures = 0
HasPermit(b) == Probing(b) /\ b.permits < HalfOpenMax

PermitTaken(b) == [b EXCEPT !.permits = @ + 1]
PermitReturned(b) == [b EXCEPT !.permits = @ - 1]

(* What became of one try. `probe`: it held a permit of this half-open phase, which it gives back. "ignored" is what says nothing
   about the service: a client that left, an answer that the gateway made itself, a try that was never written. *)
Recorded(b, probe, outcome) ==
    LET after == IF probe THEN PermitReturned(b) ELSE b
    IN  CASE after.state = "closed" /\ outcome = "failure" ->
                [after EXCEPT !.failures = Least(FailureThreshold, @ + 1)]
          [] after.state = "half_open" /\ probe /\ outcome = "failure" -> [after EXCEPT !.failures = 1]
          [] after.state = "half_open" /\ probe /\ outcome = "success" ->
                [after EXCEPT !.successes = Least(SuccessThreshold, @ + 1)]
          [] OTHER -> after                   \* late results of an earlier phase count for nothing

MayTrip(b) ==
    \/ b.state = "closed" /\ b.failures = FailureThreshold
    \/ b.state = "half_open" /\ (b.failures = 1 \/ FailureThreshold = 0)

(* How long it may be open now. Opened again by a failed probe: twice as long as before. Opened from closed: from the start, or twice
   as long as before when it had closed only a moment ago (what a moment is, is left open). *)
OpenTimes(b) ==
    LET doubled == Least(OpenTimeMax, 2 * b.open_time)
    IN  IF b.state = "half_open" THEN {doubled} ELSE {OpenTime, doubled}

Jittered(t) == LET j == (t * JitterPercent) \div 100 IN (t - j)..(t + j)

Opened(b, t, drawn) == [NewBreaker EXCEPT !.state = "open", !.remaining = drawn, !.open_time = t]
HalfOpened(b) == [NewBreaker EXCEPT !.state = "half_open", !.open_time = b.open_time]
Closed(b) == [NewBreaker EXCEPT !.open_time = b.open_time]

MayClose(b) == Probing(b) /\ b.successes = SuccessThreshold
==============================================================================
