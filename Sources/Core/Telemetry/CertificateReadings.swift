/// The certificates of the listeners at one moment, for the gauges of a scrape, and how often they were read anew.
public struct CertificateReadings: Sendable {
    public struct Certificate: Sendable {
        /// The listener that shows it to clients.
        public var listener: String
        /// Whose it is, as text.
        public var subject: String
        /// When it ends, in seconds since 1970. Not nanoseconds: those of RFC 5280's "no end" (the year 9999) do not fit.
        public var expirySeconds: Int64

        public init(listener: String, subject: String, expirySeconds: Int64) {
            self.listener = listener
            self.subject = subject
            self.expirySeconds = expirySeconds
        }
    }

    public var certificates: [Certificate]
    /// How often files of certificates and keys were read while running, and put to use.
    public var reloadsSucceeded: UInt64
    /// How often what was read could not be used, so that the old ones stayed.
    public var reloadsFailed: UInt64

    public init(certificates: [Certificate] = [], reloadsSucceeded: UInt64 = 0, reloadsFailed: UInt64 = 0) {
        self.certificates = certificates
        self.reloadsSucceeded = reloadsSucceeded
        self.reloadsFailed = reloadsFailed
    }

    /// One for each listener and subject, in the order given: of several, such as an RSA and an ECDSA certificate of one name, the
    /// one that ends first. A page must not have a series twice.
    var earliest: [Certificate] {
        struct Key: Hashable {
            var listener: String
            var subject: String
        }
        var places: [Key: Int] = [:]
        var kept: [Certificate] = []
        for certificate in certificates {
            let key = Key(listener: certificate.listener, subject: certificate.subject)
            if let place = places[key] {
                kept[place].expirySeconds = min(kept[place].expirySeconds, certificate.expirySeconds)
            } else {
                places[key] = kept.count
                kept.append(certificate)
            }
        }
        return kept
    }
}
