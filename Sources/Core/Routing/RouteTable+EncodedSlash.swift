import HTTPMessages

extension RouteTable {
    /// Applies a route's rule on `%2F` and `%5C` to a head that the route took. Nothing to do for almost every request.
    ///
    /// Decoding may turn the path into one that another route guards. So the decoded path is matched again and refused unless the
    /// same route takes it; dot segments that come out are refused as well.
    /// - Returns: nil, or why the request is refused; the head's path then means nothing.
    @inline(__always)
    public func settleEncodedSlashes(
        of head: inout RequestHead, route: Int, rule: EncodedSlashRule, policy: TargetPolicy
    ) -> TargetFault? {
        head.hasEncodedSlash ? settle(&head, route, rule, policy) : nil
    }

    @inline(never)
    private func settle(
        _ head: inout RequestHead, _ route: Int, _ rule: EncodedSlashRule, _ policy: TargetPolicy
    ) -> TargetFault? {
        do {
            try CanonicalTarget.settleEncodedSlashes(&head, rule: rule, policy: policy)
        } catch {
            return error
        }
        guard case .decode = rule else { return nil }
        return match(head) == .route(route) ? nil : .decodedPathDiffers
    }
}
