import HTTP2
import Telemetry

extension SessionFault {
    /// The word for what the session found.
    init(_ failure: HTTP2Failure) {
        self =
            switch failure {
            case .badPreface: .badPreface
            case .connectionError(let code): Self(code)
            case .frameOnClosedStream: .frameOnClosedStream
            case .tooManyResets: .tooManyResets
            case .tooManyControlFrames: .tooManyControlFrames
            case .headerLists: .headerLists
            case .tooManyContinuations: .tooManyContinuations
            case .unreadAcknowledgements: .unreadAcknowledgements
            case .settingsTimeout: .settingsTimeout
            case .headersTimeout: .headersTimeout
            case .pingTimeout: .pingTimeout
            case .closedByOwner: .closedByOwner
            case .library: .library
            }
    }

    /// What a connection error is called; others than these are never sent for one.
    private init(_ code: HTTP2ErrorCode) {
        self =
            switch code {
            case .internalError: .internalError
            case .flowControlError: .flowControlError
            case .frameSizeError: .frameSizeError
            case .compressionError: .compressionError
            case .settingsTimeout: .settingsTimeout
            case .streamClosed: .streamClosed
            case .enhanceYourCalm: .enhanceYourCalm
            default: .protocolError
            }
    }
}
