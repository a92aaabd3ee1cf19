import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Routing

/// Which refusal each fault of a request is answered with; the fault's own sentence goes with it as the detail.
extension RequestFault {
    public var refusal: Refusal {
        switch status {
        case 414: .uriTooLong
        case 417: .expectationFailed
        case 431: .headerTooLarge
        case 505: .versionNotSupported
        default: .badRequest
        }
    }
}

extension TargetFault {
    public var refusal: Refusal {
        switch self {
        case .connectNotAllowed, .traceNotAllowed: .methodNeverAllowed
        default: closesConnection ? .badRequest : .unacceptable.closing()
        }
    }
}

extension HeadFault {
    public var refusal: Refusal {
        switch self {
        case .loop: .loopDetected
        default: .unacceptable.closing()
        }
    }
}
